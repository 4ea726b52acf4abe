-- Let each statement of this transaction read what is committed when it begins. (sqlfluff knows no SET TRANSACTION.)
SET TRANSACTION ISOLATION LEVEL READ COMMITTED -- noqa: PRS
