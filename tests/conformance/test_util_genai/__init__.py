"""The fixtures that the official tests expect from their unpublished helper package, written anew and small."""
