"""What people see of a run: progress, plan, summary, tables and questions. Shows what it is given and decides nothing.

Data goes to stdout, progress and messages to stderr. Nothing depends on colour alone, no line that can be folded is
wider than the terminal, nothing is cut without saying how much, and nothing from outside (file names, headings, answers
of the API) reaches the terminal as control characters or markup. A terminal that went away never ends a run.
"""
