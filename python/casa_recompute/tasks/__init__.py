"""What a task is: its parameters and documentation, and (in `effects`) the data it reads and changes."""

from .catalogue import CasaNotFound, Catalogue, load_catalogue
from .model import Condition, Parameter, Task

__all__ = ["CasaNotFound", "Catalogue", "Condition", "Parameter", "Task", "load_catalogue"]
