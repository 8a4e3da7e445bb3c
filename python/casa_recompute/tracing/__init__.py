"""What the code of a cell uses: names and files."""
