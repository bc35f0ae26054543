"""The command line: ``python -m pipeline.aggregate``."""

from pipeline.shared.app.launch import launch

if __name__ == "__main__":
    launch("aggregate")
