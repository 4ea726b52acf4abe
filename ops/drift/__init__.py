"""Migration drift: what the recorded migrations say that the database ought to hold, what it holds, and the repair.

What ought to be is found by replaying the recorded migrations into a scratch database; the catalogues are compared, and
only what is missing is made. Nothing that holds data is ever dropped.
"""
