-- Let deferred constraints of this transaction be checked with each statement: at a commit, no row could be named.
SET CONSTRAINTS ALL IMMEDIATE
