"""The command line: ``python -m pipeline.verify``."""

from pipeline.shared.app.launch import launch

if __name__ == "__main__":
    launch("verify")
