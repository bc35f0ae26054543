"""The command line: ``python -m pipeline.report``."""

from pipeline.shared.app.launch import launch

if __name__ == "__main__":
    launch("report")
