"""The composition root: settings + files + adapters → plan, run, resume, report, show, find."""
