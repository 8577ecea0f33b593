"""The exceptions of the library."""


class InvalidProblem(ValueError):
    """A problem or an argument that no plan can be asked for: "field: what is wrong", one line."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(field, what)
        self.field = field

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.args[1]}"


class InvalidProgram(ValueError):
    """A program that cannot be made, or a schedule that is none of its job."""
