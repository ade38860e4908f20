"""The one error a user is meant to read."""

from pathlib import Path


class UserError(Exception):
    """Something that the user can mend: says what is wrong, where, and the way out.

    The command line prints it as one line and exits with status 2; a library caller can catch it.
    """

    def __init__(
        self, problem: str, *, file: str | Path | None = None, record: str | None = None, remedy: str | None = None
    ) -> None:
        where = ": ".join(str(part) for part in (file, record) if part is not None)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}. {remedy}" if remedy else text)
        self.problem, self.file, self.record, self.remedy = problem, file, record, remedy
