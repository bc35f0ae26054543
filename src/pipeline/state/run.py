"""How far an experiment is: images done in every cell, and how the last process that worked on it ended."""

import time

import pandas as pd
from omegaconf import DictConfig
from tqdm.auto import tqdm

from pipeline.attack import run as attack
from pipeline.attack.taken import count_taken_images
from pipeline.score import run as score
from pipeline.shared.app import artifacts
from pipeline.shared.app.composed import each_cell
from pipeline.shared.models.classifier import defended
from pipeline.shared.store.progress import Record, about_cell, records


def run(config: DictConfig) -> None:
    """Prints a line for each stage and cell, and the sum. Computes nothing."""
    rows = []
    for cell in tqdm(list(each_cell(config)), desc="reading", unit="cell", leave=False):
        network, images = defended(cell), cell.score.n_images
        key = score.cell_key(cell, score.sampled_classifier(cell, network))
        rows.append(("score", cell.cell, images, *_done(records(about_cell(cell, key)), images)))
        if cell.attack.taken_from is not None:
            folders = artifacts.scores_of(cell, cell.cell), artifacts.attacks_of(cell, cell.cell)
            done = min(images, count_taken_images(str(cell.attack.taken_from), *folders))
            rows.append(("attack", cell.cell, images, done, f"taken from {cell.attack.taken_from}"))
        else:
            of_attack = attack.attack_config(cell)
            key = attack.cell_key(of_attack, attack.attacked_classifier(of_attack, network))
            rows.append(("attack", cell.cell, images, *_done(records(about_cell(of_attack, key)), images)))
    table = pd.DataFrame(rows, columns=["stage", "cell", "images", "done", "last process"])
    print(table.to_markdown(index=False))
    print(f"{table.done.sum()} of {table.images.sum()} done")


def _done(found: list[Record], images: int) -> tuple[int, str]:
    """How many of the images are finished; how and where the process that was seen last ended."""
    done = {row for record in found for row in record.images if row < images}
    if not found:
        return 0, ""
    last = max(found, key=lambda record: record.last_seen)
    seen = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last.last_seen))
    job = f", job {last.job}" if last.job else ""
    return len(done), f"{last.exit_reason or 'running or killed'}, {seen} ({last.host}, process {last.pid}{job})"
