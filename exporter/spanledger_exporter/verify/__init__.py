"""The judging side: reads a ledger, changes nothing, says what holds, what does not, and what could not be checked."""
