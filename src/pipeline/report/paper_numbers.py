"""The paper's own scores, for those who have the paper: a small CSV beside our numbers."""

from pathlib import Path

import pandas as pd

from clever.errors import InputError

COLUMNS = ["cell", "norm", "target", "score"]


def beside_ours(path: Path, summary: pd.DataFrame, *, alone: bool = True) -> pd.DataFrame:
    """The file's rows with our mean score and the ratio of ours to the paper's.

    The file: a header ``cell,norm,target,score`` and a row a number, named as in an experiment's tables/summary.csv.
    ``alone``: no other experiment is reported that the rows of unknown cells may be about; if not, these are left out.
    `InputError` for a file or column that is missing, a score that is no positive number, a row that we do not have.
    """
    if not path.is_file():
        raise InputError(f"paper_numbers={path}: there is no such file")
    table = pd.read_csv(path, dtype={"target": str})
    if missing := [name for name in COLUMNS if name not in table]:
        raise InputError(f"{path} lacks the column(s) {', '.join(missing)}: it needs {','.join(COLUMNS)}")
    if not alone:
        table = table[table.cell.isin(summary.cell)]
    score = pd.to_numeric(table.score, errors="coerce")
    if not (score > 0).all():
        raise InputError(f"{path}: score {table.score[~(score > 0)].iloc[0]!r} is no positive number")
    ours = summary[["cell", "norm", "target", "mean", "mean_low", "mean_high"]]
    joined = table[COLUMNS].assign(score=score).merge(ours, on=COLUMNS[:3], how="left")
    if joined["mean"].isna().any():
        row = joined[joined["mean"].isna()].iloc[0]
        raise InputError(
            f"{path}: no score of ours for cell {row.cell}, norm {row.norm}, target {row.target}: the cells are "
            f"{', '.join(summary.cell.unique())}"
        )
    return joined.assign(ratio=joined["mean"] / joined.score)
