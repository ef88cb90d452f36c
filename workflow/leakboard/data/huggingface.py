"""Any dataset of images that the `datasets` library opens."""

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from leakboard import assets, listings
from leakboard.errors import UserError
from leakboard.pictures import Pictures

OLDEST = 4  # of `datasets`: older ones run scripts that come with the data


@dataclass(frozen=True)
class Dataset:
    """A dataset by its id on the Hugging Face hub, or in a local folder, in its own order.

    Needs `pip install 'datasets>=4'`. It is taken from the cache, and nothing is asked of the
    network unless HF_HUB_OFFLINE=0 is set; the message for one that is not there names the command
    that gets it. Pictures are treated like those of `folder`; images are numbered in order.
    """

    id: str = ""  # as owner/name; this or `path`
    path: str = ""  # a local folder
    config: str = ""  # which of its configurations, if there are several
    split: str = "train"
    revision: str = ""  # a commit, so that the data stay what they are
    image: str = "image"  # the column of the pictures
    label: str = ""  # the column of the labels; all 0 without one
    caption: str = ""  # the column of the captions, which go into subset/names.csv
    grayscale: bool = False  # one channel instead of three

    reads: ClassVar[tuple[str, ...]] = ("path",)  # params that name what is read from outside

    def load(self) -> tuple[Pictures, NDArray[np.int64], dict[str, NDArray[Any]]]:
        """Pictures, decoded when asked for, labels (n,), numbers, and captions."""
        table = self._table()
        for param in ("image", "label", "caption"):
            name = getattr(self, param)
            if name and name not in table.column_names:
                raise UserError(
                    f"dataset.params.{param}: no column '{name}'; known: "
                    f"{', '.join(table.column_names)}"
                )
        if not len(table):
            raise UserError(f"dataset.params.split: '{self.split}' is empty")
        from datasets import Image

        coded = table.select_columns([self.image]).cast_column(self.image, Image(decode=False))

        def picture(i: int) -> Any:
            found = coded[int(i)][self.image]
            return found["bytes"] or assets.place(found["path"])

        where = self.id or self.path
        names = [f"{where}: {self.split}: image {i}" for i in range(len(table))]
        columns: dict[str, NDArray[Any]] = {"number": np.arange(len(table))}
        if self.caption:
            columns["caption"] = np.array([str(said) for said in table[self.caption]], object)
        labels = np.zeros(len(table), np.int64)
        if self.label:
            labels = listings.classes([str(label) for label in table[self.label]])
        return Pictures(names, picture, self.grayscale), labels, columns

    def _table(self) -> Any:
        if bool(self.id) == bool(self.path):
            raise UserError("dataset.params: expected either `id` or `path`")
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the library is imported
        try:
            import datasets
        except ImportError:
            raise UserError(
                "dataset.method: 'huggingface' needs the package datasets: "
                "`pip install 'datasets>=4'`"
            ) from None
        if int(datasets.__version__.split(".")[0]) < OLDEST:
            raise UserError(
                f"dataset.method: 'huggingface' needs datasets 4 or newer, found "
                f"{datasets.__version__}: `pip install 'datasets>=4'`"
            )
        where = self.id or str(assets.verified(self.path))
        more = {"revision": self.revision} if self.revision else {}
        try:
            return datasets.load_dataset(where, self.config or None, split=self.split, **more)
        except (
            *(OSError, ValueError, RuntimeError, KeyError),
            datasets.exceptions.DatasetsError,
        ) as error:
            call = f"load_dataset({self.id!r}, {self.config or None!r}, split={self.split!r})"
            get = (
                f"; where it is not in the cache yet, this gets it: HF_HUB_OFFLINE=0 python -c "
                f'"from datasets import load_dataset; {call}"'
                if self.id
                else ""
            )
            key = "id" if self.id else "path"
            raise UserError(
                f"dataset.params.{key}: '{where}' cannot be opened ({error}){get}"
            ) from error
