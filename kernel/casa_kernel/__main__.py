"""Start the kernel: ``python -m casa_kernel -f CONNECTION_FILE``."""

from __future__ import annotations

from ipykernel.kernelapp import IPKernelApp

from .kernel import CasaKernel

if __name__ == "__main__":
    IPKernelApp.launch_instance(kernel_class=CasaKernel)
