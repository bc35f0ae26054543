"""How far an experiment is: images done, in work and missing in every cell, and the time that is left."""

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from tqdm.auto import tqdm

from pipeline.attack import run as attack
from pipeline.attack.taken import images_taken
from pipeline.score import run as score
from pipeline.shared import artifacts
from pipeline.shared.classifier import defended
from pipeline.shared.composed import each_cell
from pipeline.shared.durations import told
from pipeline.shared.progress import Report, about_cell, reports

STAGES = {"score": (score.sampled_of, score.cell_key), "attack": (attack.attacked_of, attack.cell_key)}


def run(config: DictConfig) -> None:
    """Prints a line for each stage and cell, the sum, and what stopped before its end. Computes nothing."""
    rows, stopped, workers = [], [], set()
    for cell in tqdm(list(each_cell(config)), desc="reading", unit="cell", leave=False):
        network, name = defended(cell), cell.cell
        for stage, (classifier, cell_key) in STAGES.items():
            if stage == "attack" and cell.attack.taken_from is not None:
                rows.append({"stage": stage, "cell": name} | _taken(cell))
                continue
            of_stage = attack.asked(cell) if stage == "attack" else cell
            heard = reports(about_cell(of_stage, cell_key(of_stage, classifier(of_stage, network))))
            row, unfinished = _row(heard, cell.score.n_images)
            rows.append({"stage": stage, "cell": name} | row)
            stopped += [f"{stage} {name}: {_who(report)}" for report in unfinished]
            workers |= {(report.host, report.pid) for report in heard if report.alive}
    table = pd.DataFrame(rows)
    usual = table.groupby("stage").seconds.transform("median")
    undone = table.images - table.done
    left = (undone * table.seconds.fillna(usual) / max(1, len(workers))).where(undone > 0, 0.0)
    shown = table.drop(columns="seconds").assign(time_left=[_left(seconds) for seconds in left])
    print(shown.rename(columns=lambda column: column.replace("_", " ")).to_markdown(index=False))
    total = table[["images", "done", "in_work", "missing"]].sum()
    print(f"{total.done} of {total.images} done, {total.in_work} in work, {total.missing} missing")
    who = f"the {len(workers)} processes at work" if workers else "one process (none is at work)"
    if total.done < total.images:
        print(f"time left, with {who}: {_left(left.sum(skipna=False))}")
    for line in stopped:
        print(line)


def _row(heard: list[Report], images: int) -> tuple[dict[str, float], list[Report]]:
    """Of one stage and cell: how many images are where, seconds a process takes for one; and who left some undone."""
    done = {row for report in heard for row in report.rows[: report.done] if row < images}
    alive = {row for report in heard if report.alive for row in report.rows if row < images} - done
    work, seconds = sum(report.work for report in heard), sum(report.seconds for report in heard if report.work)
    per_image = max((report.per_image for report in heard), default=0)
    row = {
        "images": images,
        "done": len(done),
        "in_work": len(alive),
        "missing": images - len(done) - len(alive),
        "seconds": per_image * seconds / work if work else np.nan,
    }
    undone = set(range(images)) - done - alive
    return row, [report for report in heard if undone and not report.alive and undone & set(report.rows)]


def _taken(cell: DictConfig) -> dict[str, float]:
    """As `_row`, of attacks that are those of another experiment: no process reports on them, and they take no time."""
    folders = artifacts.scores_of(cell, cell.cell), artifacts.attacks_of(cell, cell.cell)
    images = cell.score.n_images
    done = min(images, images_taken(str(cell.attack.taken_from), *folders))
    return {"images": images, "done": done, "in_work": 0, "missing": images - done, "seconds": 0.0}


def _who(report: Report) -> str:
    job = f", job {report.job}" if report.job else ""
    how = f"ended by {report.ended}" if report.ended else "silent"
    at = pd.Timestamp(report.heard, unit="s", tz="UTC").strftime("%Y-%m-%d %H:%M:%S UTC")
    where = f"shard {report.shard} of {report.shards} ({report.host}, process {report.pid}{job})"
    return f"{where} {how} at {at} after {report.done} of {len(report.rows)} images"


def _left(seconds: float) -> str:
    return "unknown" if np.isnan(seconds) else told(seconds) if seconds else ""
