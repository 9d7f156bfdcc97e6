"""The transformer through ONNX Runtime on the processor, from an artefact. Needs neither torch nor transformers once
that is made, so a minute's process is spared their import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trading_assets.news.backend import CannotCompute, label_order, padded, told_out_of_memory
from trading_assets.news.onnx_artefact import MODEL, TOKENIZER, Artefact, open_session
from trading_assets.news.sentiment import Label, ModelUnavailable


class OnnxBackend:
    """A ``Backend`` over an ONNX Runtime session."""

    device = "cpu"

    def __init__(self, artefact: Artefact, *, max_tokens: int, threads: int) -> None:
        import numpy
        from onnxruntime.capi.onnxruntime_pybind11_state import EPFail, Fail, InvalidArgument, RuntimeException
        from tokenizers import Tokenizer

        self._numpy = numpy
        self._failures = (EPFail, Fail, InvalidArgument, RuntimeException, RuntimeError)
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(artefact.folder / TOKENIZER))
            self._session = open_session(artefact.folder / MODEL, threads=threads)
        except self._failures as problem:
            raise ModelUnavailable(f"the exported model cannot be loaded: {problem}", where=str(artefact.folder)) from (
                problem
            )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=min(max_tokens, artefact.positions))
        self.labels: tuple[Label, ...] = label_order(dict(enumerate(artefact.labels)), str(artefact.folder))
        self.unknown = artefact.unknown
        self.special = artefact.special
        self._pad = artefact.pad

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """See ``Backend.tokens``."""
        return [each.ids for each in self._tokenizer.encode_batch(list(texts))]

    def logits(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        """See ``Backend.logits``."""
        numpy = self._numpy
        ids, mask = (numpy.array(rows, dtype=numpy.int64) for rows in padded(batch, self._pad))
        try:
            answer = self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        except self._failures as problem:
            if told_out_of_memory(problem):
                raise MemoryError(str(problem)) from problem
            raise CannotCompute(str(problem)) from problem
        rows: list[list[float]] = answer.tolist()
        return rows
