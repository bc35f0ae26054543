"""The command line: ``python -m pipeline.figures``."""

from pipeline.shared.app.launch import launch

if __name__ == "__main__":
    launch("figures")
