"""The judging side: reads a ledger, changes nothing, and says what holds, what does not, and what could not be checked."""
