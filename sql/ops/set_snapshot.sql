-- Read everything in this transaction as of one moment. (sqlfluff knows no SET TRANSACTION.)
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ -- noqa: PRS
