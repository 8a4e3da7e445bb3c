"""A stand-in for casatools, see ../casatasks."""


def version_string() -> str:
    return "0.0"


class table:
    def showcache(self, verbose: bool = True) -> list[str]:
        return []
