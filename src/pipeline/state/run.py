"""Progress of an experiment: finished images of every cell, and how its last process ended."""

import time

import pandas as pd
from omegaconf import DictConfig
from tqdm.auto import tqdm

from pipeline.attack import run as attack
from pipeline.attack.taken import count_taken_images
from pipeline.score import run as score
from pipeline.shared.app import artifacts
from pipeline.shared.app.composed import each_cell
from pipeline.shared.models.classifier import load_classifier
from pipeline.shared.store.progress import Record, progress_dir, read_records


def run(config: DictConfig) -> None:
    """Print a row per stage and cell, and the total; nothing is computed."""
    rows = []
    for cell in tqdm(list(each_cell(config)), desc="reading", unit="cell", leave=False):
        network, images = load_classifier(cell), cell.score.n_images
        key = score.cell_key(cell, score.sampled_classifier(cell, network))
        rows.append(("score", cell.cell, images, *_done(read_records(progress_dir(cell, key)), images)))
        if cell.attack.taken_from is not None:
            folders = artifacts.scores_dir(cell, cell.cell), artifacts.attacks_dir(cell, cell.cell)
            done = min(images, count_taken_images(str(cell.attack.taken_from), *folders))
            rows.append(("attack", cell.cell, images, done, f"taken from {cell.attack.taken_from}"))
        else:
            attack_cell = attack.attack_config(cell)
            key = attack.cell_key(attack_cell, attack.attacked_classifier(attack_cell, network))
            rows.append(("attack", cell.cell, images, *_done(read_records(progress_dir(attack_cell, key)), images)))
    table = pd.DataFrame(rows, columns=["stage", "cell", "images", "done", "last process"])
    print(table.to_markdown(index=False))
    print(f"{table.done.sum()} of {table.images.sum()} done")


def _done(read_records: list[Record], images: int) -> tuple[int, str]:
    """Number of finished images, and how and where the most recent process ended."""
    done = {row for record in read_records for row in record.images if row < images}
    if not read_records:
        return 0, ""
    last = max(read_records, key=lambda record: record.last_seen)
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last.last_seen))
    job = f", job {last.job}" if last.job else ""
    return len(done), f"{last.exit_reason or 'running or killed'}, {seen} ({last.host}, process {last.pid}{job})"
