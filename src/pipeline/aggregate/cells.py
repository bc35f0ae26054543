"""What each cell of the experiment is (`pipeline.aggregate.describe`)."""

from pipeline.aggregate.table import Table

TABLE = Table("cells", lambda data: data.cells, digits=None)
