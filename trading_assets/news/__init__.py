"""From what a source says to a signed number for a company: feeds, stories, tickers, sentiment, discovery.

What belongs here: asking sources and reading what they send, one identity and one cluster per story, which companies
a text names and why, the models that score it, and how the universe is found. What does not: assets and their
pictures, what a signal makes of the numbers, orders. Imports ``ledger``, ``market`` and ``domain``; whatever comes
from outside is data here and never an instruction.

The way of an article, each step with its own modules:

- **asked for**: ``feed_schedule`` (when), ``manners`` and ``fetch`` over ``web`` (how), ``wires`` and ``wire_round``
  (the broker's interface), ``wire_listening`` (its socket), ``articles`` (texts behind links); ``ingest`` is one
  round of it
- **read**: ``charset``, ``prolog``, ``dates``, ``json_feed`` and ``parse``; large bodies and pages apart from this
  process (``parse_apart`` and ``extract_text`` in a ``reader_process``)
- **stored once**: ``identity``, ``same_article``, ``room`` and ``storing``; as one event by ``headlines``,
  ``candidates`` and ``clusters``, of which ``recent`` remembers the last days
- **named**: ``companies`` and ``name_book`` (what they are called), ``tags``, ``tickers``, ``name_context``,
  ``longer_names`` and ``markets`` (what a text means), ``clauses`` and ``per_company`` (which words are whose),
  ``inference`` (a language model asked about stories that name nobody)
- **scored**: ``sentiment`` is the interface, ``lexicon`` and ``finbert`` answer it, ``torch_backend`` and
  ``onnx_backend`` compute, ``model_store`` and ``model_identity`` keep weights apart, ``classify`` stores what came
  of it
- **told**: ``feed_health`` and ``wire_health``

``discovery`` is a room of its own; ``config`` and the files ending in ``_config`` hold the numbers.
"""
