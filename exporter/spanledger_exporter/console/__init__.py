"""The web console: what the command line shows, for people who would rather click.

Rules
- Server-rendered; no script, no asset from elsewhere. What the browser may do stands in `guard.py`.
- The console owns nothing: it reads beside the owner of an embedded store, and whatever changes the ledger (shipping,
  verifying, evidence bundles) is the same command line in a process of its own.
- Every page about events leaves an `access` row before it is shown: who, what, why.
"""
