"""One table of everything a user can get wrong: one line that says what to do, exit code 2, nothing left behind."""

import contextlib
import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load_file

from command_line import SMALL, assert_refused, finished, nearfar, options, spawn, tree, write_pairs
from nearfar.encoder.encode import encode
from nearfar.encoder.precision import Policy
from nearfar.encoder.save import save_encoder
from nearfar.index.generation import Documents, write_index
from nearfar.train.step import step
from tiny_models import pairs, sentences, tiny_static

GOOD = "".join(json.dumps({"query": q, "positive": d}) + "\n" for q, d in pairs(30))
FIT = ["fit", "--base", "static", "--out", "out", *options()]
ON_GOOD = [*FIT, "--data", "good.jsonl"]
MERGE = ["merge", "run", "other", "--out", "m"]
MINE = ["mine", "--data", "good.jsonl", "--out", "mined"]


def make_world(folder: Path, tiny_folder: Path) -> None:
    """Files that are good, and files that are bad in one way each."""
    (folder / "good.jsonl").write_text(GOOD)
    (folder / "empty.jsonl").write_text("")
    (folder / "blank.txt").write_text(" \n")
    (folder / "bad.jsonl").write_text(GOOD + '{"query": "a",\n')
    (folder / "columns.jsonl").write_text('{"title": "a", "body": "b"}\n')
    (folder / "columns.csv").write_text("title,body\na,b\n")
    (folder / "query.jsonl").write_text(GOOD + '{"query": " ", "positive": "b"}\n')
    (folder / "document.jsonl").write_text(GOOD + '{"query": "a", "positive": ""}\n')
    (folder / "latin.jsonl").write_bytes(GOOD.encode() + b'{"query": "caf\xe9", "positive": "b"}\n')
    (folder / "nul.csv").write_bytes(b"query,positive\na,b\0\n")
    (folder / "long.jsonl").write_bytes(b'{"query": "' + b"x" * 10_000_000 + b'"}\n')
    (folder / "score.csv").write_text("query,positive,score\na,b,high\n")
    (folder / "cells.csv").write_text("query,positive\na\n")
    (folder / "one.jsonl").write_text('{"query": "a", "positive": "b"}\n')
    (folder / "data.xlsx").write_text("x")
    (folder / "broken.parquet").write_text("PAR1")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(GOOD.encode() * 99)[:-20])
    (folder / "nothing here").mkdir()
    (folder / "texts.txt").write_text("stone river\nhouse\n")
    (folder / "texts-latin.txt").write_bytes(b"stone\ncaf\xe9\n")
    (folder / "texts-blank.txt").write_text("stone\n\nhouse\n")
    (folder / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n')
    (folder / "a file").write_text("x")
    (folder / "full").mkdir()
    (folder / "full" / "keep.txt").write_text("mine")
    make_configs(folder)
    make_models(folder, tiny_folder)


def make_configs(folder: Path) -> None:
    configs = {
        "typo": "train:\n  epoch: 3\n",
        "group": "trian:\n  epochs: 3\n",
        "type": "train:\n  epochs: three\n",
        "range": "train:\n  epochs: 0\n",
        "text": "train: [1\n",
        "list": "- 1\n- 2\n",
        "flat": "train: 3\n",
        "tab": "train:\n\tepochs: 3\n",
        "metric": "eval:\n  metrics: [ndcg]\n",
        "loss": "train:\n  loss: infonce\n",
        "columns": "data:\n  columns: {qeury: title}\n",
    }
    for name, text in configs.items():
        (folder / f"{name}.yaml").write_text(text)
    (folder / "latin.yaml").write_bytes(b"base: caf\xe9\n")


def make_models(folder: Path, tiny_folder: Path) -> None:
    encoder, texts = tiny_static(), sentences(8)
    fingerprint = save_encoder(encoder, folder / "run" / "model", card="")
    save_encoder(tiny_static(seed=1), folder / "other", card="")
    documents = Documents([str(i) for i in range(8)], texts, encode(encoder, texts, "document", Policy()))
    write_index(folder / "run" / "index", documents, fingerprint=fingerprint, similarity="cosine")
    (folder / "run" / "run.json").write_text("{}")
    (folder / "run" / "started.json").write_text("{}")
    shutil.copytree(folder / "run", folder / "damaged")
    vectors = next((folder / "damaged" / "index").rglob("data/*.lance"))
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"\x55")
    shutil.copytree(folder / "run" / "index", folder / "alone")
    shutil.copytree(tiny_folder, folder / "pickled")
    (folder / "pickled" / "model.safetensors").rename(folder / "pickled" / "pytorch_model.bin")
    shutil.copytree(tiny_folder, folder / "cut model")
    weights = folder / "cut model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    shutil.copytree(tiny_folder, folder / "bert")
    (folder / "unfinished").mkdir()
    (folder / "unfinished" / "started.json").write_text('{"base": ')


# (name, arguments, words the line must hold)
CASES = [
    # data, for training
    ("missing file", [*FIT, "--data", "no.jsonl"], ["no.jsonl: expected a file or folder, found none"]),
    ("no data", FIT, ["expected pairs to train on, found none"]),
    ("empty file", [*FIT, "--data", "empty.jsonl"], ["empty.jsonl: expected rows, found an empty file"]),
    ("bad JSON", [*FIT, "--data", "bad.jsonl"], ["bad.jsonl:31: expected JSON"]),
    ("wrong column", [*FIT, "--data", "columns.jsonl"], ["columns.jsonl:1: expected", "{query: NAME}"]),
    ("wrong column in CSV", [*FIT, "--data", "columns.csv"], ["columns.csv:1: expected", "{query: NAME}"]),
    ("empty query", [*FIT, "--data", "query.jsonl"], ["query.jsonl:31: expected", "'query'"]),
    ("empty document", [*FIT, "--data", "document.jsonl"], ["document.jsonl:31: expected", "'positive'"]),
    ("not UTF-8", [*FIT, "--data", "latin.jsonl"], ["latin.jsonl:31: expected UTF-8 text, found byte 0xe9"]),
    ("NUL byte", [*FIT, "--data", "nul.csv"], ["nul.csv:2: expected", "NUL"]),
    ("10 MB line", [*FIT, "--data", "long.jsonl"], ["long.jsonl:1: expected lines of at most 10 MB"]),
    ("score in words", [*FIT, "--data", "score.csv"], ["score.csv:2: expected", "'high'"]),
    ("too few cells", [*FIT, "--data", "cells.csv"], ["cells.csv:2: expected 2 cells"]),
    ("one pair", [*FIT, "--data", "one.jsonl"], ["expected", "found"]),
    ("unknown suffix", [*FIT, "--data", "data.xlsx"], ["data.xlsx: expected", "'.xlsx'"]),
    ("broken Parquet", [*FIT, "--data", "broken.parquet"], ["broken.parquet: expected", "Parquet"]),
    ("cut gzip", [*FIT, "--data", "cut.jsonl.gz"], ["cut.jsonl.gz:", "expected a whole gzip file"]),
    ("empty folder", [*FIT, "--data", "nothing here"], ["nothing here: expected", "nothing readable"]),
    ("a model for data", [*FIT, "--data", "other"], ["other: expected"]),
    ("a mapping to no column", [*FIT, "--data", "columns.csv", "--data.columns", "{query: head}"], ["'head'"]),
    # the configuration
    ("missing YAML", [*ON_GOOD, "--config", "no.yaml"], ["no.yaml: expected a YAML file, found none", "nearfar init"]),
    ("unknown key", [*ON_GOOD, "--config", "typo.yaml"], ["typo.yaml: ", "'train.epoch'", "did you mean 'epochs'?"]),
    ("unknown group", [*ON_GOOD, "--config", "group.yaml"], ["'trian'", "did you mean 'train'?"]),
    ("wrong type", [*ON_GOOD, "--config", "type.yaml"], ["'train.epochs': expected", "found 'three'"]),
    ("out of range", [*ON_GOOD, "--config", "range.yaml"], ["'train.epochs': expected greater than or equal to 1"]),
    ("no YAML", [*ON_GOOD, "--config", "text.yaml"], ["text.yaml:2: expected YAML"]),
    ("a tab", [*ON_GOOD, "--config", "tab.yaml"], ["tab.yaml:2: expected YAML"]),
    ("a list", [*ON_GOOD, "--config", "list.yaml"], ["list.yaml: expected keys and values, found list"]),
    ("no keys", [*ON_GOOD, "--config", "flat.yaml"], ["'train': expected keys with values, found '3'"]),
    ("Latin-1 YAML", [*ON_GOOD, "--config", "latin.yaml"], ["latin.yaml: expected a readable YAML file"]),
    ("a folder for YAML", [*ON_GOOD, "--config", "full"], ["full: expected a readable YAML file"]),
    ("metric", [*ON_GOOD, "--config", "metric.yaml"], ["metric.yaml: metric 'ndcg': expected a cut-off of 1 to"]),
    (
        "loss",
        [*ON_GOOD, "--config", "loss.yaml"],
        ["train.loss: expected a known loss, found 'infonce'; did you mean 'info_nce'?"],
    ),
    ("field of columns", [*ON_GOOD, "--config", "columns.yaml"], ["'data.columns.qeury", "expected 'query'"]),
    ("unknown option", [*ON_GOOD, "--train.epoch", "3"], ["expected a known key", "did you mean 'epochs'?"]),
    ("misspelt option", [*ON_GOOD, "--bsae", "static"], ["'bsae'", "did you mean 'base'?"]),
    ("option without value", [*ON_GOOD, "--train.epochs"], ["--train.epochs: expected a value, found none"]),
    ("option of a wrong type", [*ON_GOOD, "--train.epochs", "many"], ["'train.epochs': expected", "found 'many'"]),
    ("option below its range", [*ON_GOOD, "--train.batch_size", "1"], ["'train.batch_size': expected"]),
    ("negative temperature", [*ON_GOOD, "--train.temperature=-1"], ["'train.temperature': expected greater than 0"]),
    ("infinite learning rate", [*ON_GOOD, "--train.learning_rate", ".inf"], ["'train.learning_rate': expected"]),
    ("not a number", [*ON_GOOD, "--train.temperature", ".nan"], ["'train.temperature': expected"]),
    ("negative seed", [*ON_GOOD, "--train.seed=-1"], ["'train.seed': expected"]),
    ("vocabulary below zero", [*ON_GOOD, "--static.vocabulary=-5"], ["'static.vocabulary': expected"]),
    ("no dimension", [*ON_GOOD, "--static.dimension", "0"], ["'static.dimension': expected"]),
    ("precision", [*ON_GOOD, "--train.precision", "fp16"], ["'train.precision': expected 'fp32' or 'bf16'"]),
    (
        "direction",
        [*ON_GOOD, "--train.directions", "[query_to_doc]"],
        ["'train.directions.0': expected 'query_to_document'"],
    ),
    ("no direction", [*ON_GOOD, "--train.directions", "[]"], ["'train.directions': expected"]),
    ("partition", [*ON_GOOD, "--train.partition", "both"], ["'train.partition': expected 'joint' or 'per_direction'"]),
    ("prefix twice", [*ON_GOOD, "--train.matryoshka", "[8, 8]"], ["'train.matryoshka': expected different entries"]),
    (
        "prefix of nothing",
        [*ON_GOOD, "--train.matryoshka", "[0]"],
        ["'train.matryoshka': expected numbers of at least 1"],
    ),
    (
        "prefix too long",
        [*ON_GOOD, "--train.matryoshka", "[8, 64]"],
        ["train.matryoshka: expected numbers below", "32", "64"],
    ),
    (
        "a weight too few",
        [*ON_GOOD, "--train.matryoshka", "[4, 8]", "--train.matryoshka_weights", "[1]"],
        ["'train.matryoshka_weights': expected 2 numbers above 0"],
    ),
    ("no sources", [*ON_GOOD, "--train.batch_by", "source"], ["train.batch_by: expected a source in the data, found"]),
    (
        "no such batches",
        [*ON_GOOD, "--train.batch_by", "sources"],
        ["'train.batch_by': expected 'none', 'source', 'task'"],
    ),
    ("mixing of nothing", [*ON_GOOD, "--train.mixing.temperature", "2"], ["train.mixing: expected train.batch_by"]),
    ("cold mixing", [*ON_GOOD, "--train.mixing.temperature", "0"], ["'train.mixing.temperature': expected greater"]),
    (
        "an option instead of a value",
        [*ON_GOOD, "--train.shard", "--train.queue.size=9"],
        ["--train.shard: expected a value, found --train.queue.size=9; write one after it"],
    ),
    (
        "momentum of shards",
        [*ON_GOOD, "--train.shard=true", "--train.queue.size=9", "--train.queue.momentum=.9"],
        ["'train.shard': expected false with train.queue.momentum"],
    ),
    ("momentum of nothing", [*ON_GOOD, "--train.queue.momentum=.9"], ["'train.queue.momentum': expected 0 without"]),
    (
        "no curriculum",
        [*ON_GOOD, "--train.curriculum.progressive=.5"],
        ["'train.curriculum.progressive': expected 0, or"],
    ),
    (
        "no scores",
        [*ON_GOOD, "--train.curriculum.by", "score"],
        ["train.curriculum.by: expected pairs whose scores differ"],
    ),
    ("device", [*ON_GOOD, "--train.device", "cuda:77"], ["device 'cuda:77': expected a device of this machine"]),
    ("a table too wide", [*ON_GOOD, "--static.dimension", "9000000000"], ["static.dimension: expected a token table"]),
    ("forty digits", [*ON_GOOD, "--train.batch_size", "9" * 40], ["'train.batch_size': expected a number of at most"]),
    ("a seed of forty digits", [*ON_GOOD, "--train.seed", "9" * 40], ["'train.seed': expected a number of at most"]),
    ("more memory than there is", [*ON_GOOD, "--train.keep_gib", "1e300"], ["'train.keep_gib': expected less than or"]),
    (
        "too many mixed",
        [*ON_GOOD, "--train.mixed_negatives.count", "1000000000"],
        ["train.batch_size: expected a batch"],
    ),
    ("too long a queue", [*ON_GOOD, "--train.queue.size", "10000000000000"], ["train.batch_size: expected a batch"]),
    ("a device that is none", [*ON_GOOD, "--train.device", "fast"], ["device 'fast': expected a device"]),
    ("a stray word", [*ON_GOOD, "stray"], ["expected --field value, found 'stray'"]),
    ("two modes", [*ON_GOOD, "--resume", "--overwrite"], ["expected --resume or --overwrite, found both"]),
    ("nothing accumulated", [*ON_GOOD, "--train.accumulate", "0"], ["'train.accumulate': expected"]),
    ("a static encoder spread", [*ON_GOOD, "--train.shard", "true"], ["train.shard: expected a transformer"]),
    # recipes
    ("recipe", [*ON_GOOD, "--recipe", "stong"], ["'recipe': expected a known recipe (did you mean 'strong'?)"]),
    (
        "a recipe with stages",
        [*ON_GOOD, "--recipe", "quick", "--stages", "[{kind: train}]"],
        ["stages: expected none beside a recipe, found the recipe 'quick' too"],
    ),
    (
        "kind of stage",
        [*ON_GOOD, "--stages", "[{kind: mien}]"],
        ["'stages.0': expected a known kind, found 'mien'; did you mean 'mine'?"],
    ),
    ("a stage of no kind", [*ON_GOOD, "--stages", "[{epochs: 1}]"], ["expected the key 'stages.0.kind', found none"]),
    ("no list of stages", [*ON_GOOD, "--stages", "train"], ["'stages': expected", "found 'train'"]),
    (
        "a key of training in a stage",
        [*ON_GOOD, "--stages", "[{kind: train, epoch: 1}]"],
        ["stages.0: expected a known key, found 'epoch'; did you mean 'epochs'?"],
    ),
    (
        "a value of training in a stage",
        [*ON_GOOD, "--stages", "[{kind: train}, {kind: train, epochs: 0}]"],
        ["stages.1: 'epochs': expected greater than or equal to 1"],
    ),
    (
        "settings that do not go together",
        [*ON_GOOD, "--train.queue.size=9", "--stages", "[{kind: train, shard: true}]"],
        ["stages.0: expected settings of one stage, found 'shard'", "set train.shard"],
    ),
    (
        "a key of mining in a stage",
        [*ON_GOOD, "--stages", "[{kind: mine, negativs: 1}]"],
        ["found 'stages.0.mine.negativs'; did you mean 'negatives'?"],
    ),
    (
        "a prefix too long in a stage",
        [*ON_GOOD, "--stages", "[{kind: mine}, {kind: train, matryoshka: [64]}]"],
        ["train.matryoshka: expected numbers below the model's dimension, 32"],
    ),
    (
        "one model to merge in a run",
        [*ON_GOOD, "--stages", "[{kind: train}, {kind: merge}]"],
        ["stages.1: expected two stages of training before it, or with_base, found 1"],
    ),
    (
        "a method of merging in a run",
        [*ON_GOOD, "--stages", "[{kind: merge, method: gredy}]"],
        ["'stages.0.merge.method': expected a known method (did you mean 'greedy'?)"],
    ),
    (
        "a way to rewrite",
        [*ON_GOOD, "--stages", "[{kind: augment, kinds: [maks]}, {kind: train}]"],
        ["'stages.0.augment.kinds': expected known ways to rewrite, not 'maks' (did you mean 'mask'?)"],
    ),
    (
        "a share of all and more",
        [*ON_GOOD, "--stages", "[{kind: augment, share: 1.5}, {kind: train}]"],
        ["'stages.0.augment.share': expected less than or equal to 1"],
    ),
    # merge
    ("merge: one model", [*MERGE[:2], *MERGE[3:]], ["merge: expected two models or more, found 1"]),
    ("merge: none", ["merge", "--out", "m"], ["merge: expected two models or more, found 0"]),
    ("merge: unlike models", ["merge", "run", "bert", "--out", "m"], ["bert: expected the architecture of run (Stat"]),
    ("merge: unknown model", [*MERGE, "./none"], ["./none: expected a model folder, found nothing"]),
    ("merge: method", [*MERGE, "--method", "mean"], ["method: expected a known method, found 'mean'"]),
    ("merge: misspelt method", [*MERGE, "--method", "unifrom"], ["did you mean 'uniform'?"]),
    ("merge: nothing to choose by", [*MERGE, "--method", "greedy"], ["data: expected pairs to choose the models by"]),
    ("merge: no base", [*MERGE, "--method", "delta"], ["base: expected the model that these were trained from"]),
    (
        "merge: an unlike base",
        [*MERGE, "--method", "delta", "--base", "bert"],
        ["the base: expected the architecture of run"],
    ),
    ("merge: missing data", [*MERGE, "--data", "no.jsonl"], ["no.jsonl: expected a file or folder, found none"]),
    ("merge: a folder with files", [*MERGE, "--out", "full"], ["full: expected a new folder, found one that exists"]),
    ("merge: replacing what is no model", [*MERGE, "--out", "alone", "--overwrite"], ["alone: expected a new folder"]),
    ("merge: below a file", [*MERGE, "--out", "a file/x"], ["expected a place to write to"]),
    ("merge: unknown option", [*MERGE, "--columns.qeury", "x"], ["columns.qeury"]),
    # certify
    ("certify: missing data", ["certify", "--data", "no.jsonl"], ["no.jsonl: expected a file or folder, found none"]),
    ("certify: too few pairs", ["certify", "--pairs", "3"], ["pairs: expected at least 4, found 3"]),
    ("certify: unknown base", ["certify", "--data", "good.jsonl", "--base", "./no"], ["./no: expected a model folder"]),
    ("certify: a field", ["certify", "--data", "good.jsonl", "--train.losss", "x"], ["did you mean 'loss'?"]),
    # the run folder
    ("a run that exists", [*ON_GOOD, "--out", "run"], ["run: expected a new run folder", "--resume"]),
    ("a folder with files", [*ON_GOOD, "--out", "full"], ["full: expected a new run folder"]),
    ("a file for a run", [*ON_GOOD, "--out", "a file"], ["a file: expected a new run folder"]),
    ("overwriting what is no run", [*ON_GOOD, "--out", "full", "--overwrite"], ["full: expected a new run folder"]),
    (
        "a run below a file",
        [*ON_GOOD, "--out", "a file/x"],
        ["a file/x: expected a place to write to, found a file above it, a file"],
    ),
    ("resuming nothing", ["fit", "--out", "new", "--resume"], ["new: expected a run to go on with, found none"]),
    ("resuming a file", ["fit", "--out", "a file", "--resume"], ["a file: expected a run to go on with, found none"]),
    ("a run of too long a name", [*ON_GOOD, "--out", "x" * 300], ["expected a place to write to, found File name too"]),
    ("resuming a broken start", ["fit", "--out", "unfinished", "--resume"], ["started.json: expected JSON"]),
    # the base model
    ("misspelt base", [*ON_GOOD, "--base", "minilmm"], ["minilmm: expected", "did you mean 'minilm'?"]),
    ("unknown base", [*ON_GOOD, "--base", "nobody/no-such-model"], ["nobody/no-such-model: expected a loadable model"]),
    ("missing base folder", [*ON_GOOD, "--base", "./no"], ["./no: expected a model folder, found nothing"]),
    ("a file for a base", [*ON_GOOD, "--base", "good.jsonl"], ["good.jsonl: expected a model folder, found a file"]),
    ("a folder without model", [*ON_GOOD, "--base", "full"], ["full: expected a Sentence Transformers"]),
    ("pickled weights", [*ON_GOOD, "--base", "pickled"], ["expected weights as safetensors, found a pickle"]),
    ("cut weights", [*ON_GOOD, "--base", "cut model"], ["cut model: expected a loadable model"]),
    # eval
    ("eval: unknown model", ["eval", "nobody/none", "--data", "good.jsonl"], ["nobody/none: expected"]),
    ("eval: missing data", ["eval", "other", "--data", "no.csv"], ["no.csv: expected a file or folder"]),
    ("eval: no such split", ["eval", "other", "--data", "good.jsonl", "--split", "exam"], ["expected", "'exam'"]),
    ("eval: metric", ["eval", "bm25", "--data", "good.jsonl", "--metric", "accuracy"], ["metric 'accuracy': "]),
    ("eval: cut-off", ["eval", "bm25", "--data", "good.jsonl", "--metric", "ndcg@99999"], ["a cut-off of 1 to 10000"]),
    ("eval: no data named", ["eval", "other"], ["Missing option '--data'"]),
    ("eval: bad row", ["eval", "bm25", "--data", "bad.jsonl"], ["bad.jsonl:31: expected JSON"]),
    # encode
    ("encode: missing texts", ["encode", "other", "no.txt", "--out", "v.npy"], ["no.txt: expected a file, found none"]),
    ("encode: blank file", ["encode", "other", "blank.txt", "--out", "v.npy"], ["blank.txt:1: expected", "empty"]),
    ("encode: empty file", ["encode", "other", "empty.jsonl", "--out", "v.npy"], ["empty.jsonl", "an empty file"]),
    ("encode: blank line", ["encode", "other", "texts-blank.txt", "--out", "v.npy"], ["texts-blank.txt:2: expected"]),
    ("encode: not UTF-8", ["encode", "other", "texts-latin.txt", "--out", "v.npy"], ["texts-latin.txt:2:", "0xe9"]),
    ("encode: id twice", ["encode", "other", "corpus.jsonl", "--out", "v.npy"], ["corpus.jsonl:2:", "'a' again"]),
    ("encode: a folder", ["encode", "other", "full", "--out", "v.npy"], ["full: expected"]),
    ("encode: role", ["encode", "other", "texts.txt", "--out", "v.npy", "--role", "doc"], ["role: expected query or"]),
    (
        "encode: file exists",
        ["encode", "other", "texts.txt", "--out", "good.jsonl"],
        ["good.jsonl: expected a new file"],
    ),
    ("encode: no such folder", ["encode", "other", "texts.txt", "--out", "x/y.npy"], ["x/y.npy: expected a place"]),
    ("encode: unknown model", ["encode", "./none", "texts.txt", "--out", "v.npy"], ["./none: expected a model folder"]),
    ("encode: no out", ["encode", "other", "texts.txt"], ["Missing option '--out'"]),
    # mine
    ("mine: no data", ["mine", "bm25", "--out", "mined"], ["data: expected pairs to mine for, found none"]),
    ("mine: unknown model", [*MINE, "nobody/none"], ["nobody/none: expected a loadable model"]),
    ("mine: misspelt model", [*MINE, "minilmm"], ["minilmm: expected", "did you mean 'minilm'?"]),
    ("mine: empty data", ["mine", "--data", "empty.jsonl", "--out", "mined"], ["empty.jsonl: expected rows"]),
    ("mine: one pair", ["mine", "--data", "one.jsonl", "--out", "mined"], ["at least two different documents"]),
    ("mine: ranks", [*MINE, "--rank_from", "9", "--rank_to", "5"], ["'mine.rank_to': expected at least", "= 12"]),
    ("mine: too many", [*MINE, "--negatives", "99"], ["'mine.rank_to': expected at least rank_from + negatives = 99"]),
    ("mine: margin", [*MINE, "--relative_margin", "1.5"], ["'mine.relative_margin': expected less than 1"]),
    ("mine: sampling", [*MINE, "--sampling", "best"], ["'mine.sampling': expected 'top' or 'random'"]),
    ("mine: unknown option", [*MINE, "--relativ_margin", "0"], ["did you mean 'relative_margin'?"]),
    ("mine: a filter's limit alone", [*MINE, "--filter_margin", "0.1"], ["expected a second model", "found none"]),
    ("mine: unknown second model", [*MINE, "--filter", "./no"], ["./no: expected a model folder, found nothing"]),
    ("mine: a folder with files", [*MINE, "--out", "full"], ["full: expected a new folder, or mined negatives"]),
    ("mine: a file", [*MINE, "--out", "a file"], ["a file: expected a new folder, or mined negatives"]),
    ("mine: overwriting", [*MINE, "--out", "full", "--overwrite"], ["full: expected a new folder, or mined"]),
    ("mine: overwriting a file", [*MINE, "--out", "a file", "--overwrite"], ["a file: expected"]),
    ("mine: an index", [*MINE, "--out", "alone"], ["alone: expected a new folder, or mined negatives"]),
    ("mine: replace an index", [*MINE, "--out", "alone", "--overwrite"], ["alone: expected a new folder, or mined"]),
    ("mine: seed", [*MINE, "--seed", "99999999999999999999"], ["'mine.seed': expected less than 4294967296"]),
    ("mine: below a file", [*MINE, "--out", "a file/x"], ["expected a place to write to"]),
    ("mine: too long a name", [*MINE, "--out", "x" * 300], ["expected a place to write to, found File name too long"]),
    (
        "mined in a run, never drawn",
        [*ON_GOOD, "--train.mine.every_steps", "3", "--train.hard_negatives", "0"],
        ["'train.mine': expected hard_negatives of 1 or more"],
    ),
    # search
    ("search: missing run", ["search", "none", "stone"], ["none: expected"]),
    ("search: no run", ["search", "full", "stone"], ["full: expected"]),
    ("search: another model", ["search", "run", "stone", "--model", "other"], ["expected queries of model"]),
    ("search: damaged index", ["search", "damaged", "stone"], [".lance: expected the bytes"]),
    ("search: no model", ["search", "alone", "stone"], ["alone: expected a run folder", "found no model"]),
    ("search: no words", ["search", "run", "  "], ["question: expected words, found none"]),
    ("search: Latin-1", ["search", "run", "caf\udce9"], ["question: expected UTF-8 text, found other bytes"]),
    ("search: no results", ["search", "run", "stone", "-k", "0"], ["-k", "greater than or equal to 1"]),
    ("search: k in words", ["search", "run", "stone", "-k", "five"], ["-k", "a valid integer"]),
    ("search: no question", ["search", "run"], ["question: expected words, or --like, or --topic, found none"]),
    # the other verbs
    ("check: missing file", ["data", "check", "no.jsonl"], ["no.jsonl: expected a file or folder, found none"]),
    ("check: bad JSON", ["data", "check", "bad.jsonl"], ["bad.jsonl:31: expected JSON"]),
    ("check: nothing named", ["data", "check"], ["Missing argument 'source'"]),
    ("check: only bad rows", ["data", "check", "columns.jsonl", "--skip-bad-rows"], ["columns.jsonl:1: expected"]),
    ("init: file exists", ["init", "good.jsonl"], ["good.jsonl: expected a new file, found one that exists"]),
    ("init: no such folder", ["init", "x/y.yaml"], ["x/y.yaml: expected a place to write to"]),
    ("init: a folder", ["init", "full"], ["full: expected"]),
    ("schema: an argument", ["schema", "x"], ["unexpected extra argument"]),
    ("unknown verb", ["fti"], ["No such command 'fti'"]),
    ("unknown verb of data", ["data", "chekc"], ["No such command 'chekc'"]),
    ("unknown option of a verb", ["search", "run", "stone", "--jsn"], ["No such option: --jsn"]),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_folder):
    folder = tmp_path_factory.mktemp("world")
    make_world(folder, tiny_folder)
    return folder, tree(folder)


@pytest.mark.parametrize(("arguments", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_line_exit_code_2_and_nothing_left_behind(world, monkeypatch, arguments, words):
    folder, before = world
    monkeypatch.chdir(folder)
    done = nearfar(*arguments)
    after = tree(folder)
    shutil.rmtree(folder / "out", ignore_errors=True)  # for the other cases, should this one fail
    assert after.keys() ^ before.keys() == set(), done
    assert after == before
    assert_refused(done, words)


def test_the_table_is_large_enough():
    assert len(CASES) >= 60
    assert len({name for name, *_ in CASES}) == len(CASES)
    assert {case[1][0] for case in CASES} >= {"fit", "eval", "encode", "search", "data", "init", "schema"}


@pytest.mark.parametrize("name", ["search: another model", "unknown key"])
def test_a_process_of_its_own_says_the_same(world, monkeypatch, name):
    folder, before = world
    arguments, words = next(case[1:] for case in CASES if case[0] == name)
    monkeypatch.chdir(folder)
    assert_refused(finished(spawn(*arguments)), words)
    assert tree(folder) == before


def test_a_yaml_that_lies_there_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nearfar.yaml").write_text("train:\n  epoch: 3\n")
    assert_refused(nearfar("fit"), ["nearfar.yaml: expected a known key, found 'train.epoch'; did you mean 'epochs'?"])


def infinite_from_call(number):
    """Training's step, with a gradient that is not finite from this call on."""
    calls = []

    def stepped(*arguments):
        calls.append(arguments)
        result = step(*arguments)
        if len(calls) >= number:
            gradient = next(p.grad for p in arguments[0].model.parameters() if p.grad is not None)
            (gradient.values() if gradient.is_sparse else gradient)[0] = np.nan
        return result

    return mock.patch("nearfar.train.distributed.step", stepped)


@pytest.mark.parametrize("trouble", ["huge rate", "gradient"])
def test_a_loss_that_diverges_is_told(tmp_path, trouble):
    data = write_pairs(tmp_path / "pairs.jsonl", 30)
    huge = {"train__learning_rate": 1e38, "train__clip_norm": 1e30, "train__weight_decay": 1e30}
    chosen = options(train__checkpoint_minutes=0, **(huge if trouble == "huge rate" else {}))
    with infinite_from_call(4) if trouble == "gradient" else contextlib.nullcontext():
        done = nearfar("fit", "--base", "static", "--data", data, "--out", tmp_path / "run", *chosen)
    assert done.code == 2, done
    run, line = tmp_path / "run", done.lines[-1]
    parts = (r"nearfar: step (\d+): expected finite loss, gradients and weights, found .+",
             r"queries (.+) and (\d+) more \(all in (.+)\); (.+); lower train.learning_rate, .+")  # fmt: skip
    found = re.fullmatch(" in the batch of ".join(parts), line)
    assert found, line
    told = json.loads((run / "diverged.json").read_text())
    assert told["step"] == int(found[1])
    assert (told["queries"][:3], len(told["queries"])) == (found[2].split(", "), 3 + int(found[3]))
    assert found[4] == str(run / "diverged.json")
    good = run / "checkpoints" / "step-00000003"
    assert found[5] == (
        "there is no checkpoint yet" if trouble == "huge rate" else f"the last good checkpoint is {good}"
    )
    assert not [path for path in (run / "checkpoints").iterdir() if not finite(path / "weights.safetensors")]
    assert "Traceback" not in done.err


def finite(path):
    return all(np.isfinite(value).all() for value in load_file(path).values())


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("dimension", [64, 1024])
def test_a_full_disk_is_told_in_one_line(small_disk, tmp_path, dimension):
    """Smaller: the report or the index is too much; larger: the first checkpoint."""
    data = write_pairs(tmp_path / "pairs.jsonl", 200)
    changed = {**SMALL, "static.dimension": dimension, "train.epochs": 1, "train.checkpoint_minutes": 0}
    settings = [part for key, value in changed.items() for part in (f"--{key}", str(value))]
    done = nearfar("fit", "--base", "static", "--data", data, "--out", small_disk / "run", *settings)
    assert done.code == 2, done
    assert done.lines[-1].startswith(f"nearfar: {small_disk}")
    assert "No space left on device" in done.lines[-1]
    assert "Traceback" not in done.err
    assert not (small_disk / "run" / "run.json").exists()
    assert not [path for path in small_disk.rglob("*") if ".writing-" in path.name]
    assert done.lines[-1].endswith("; free some space, then go on with --resume")


def test_encode_on_a_full_disk_leaves_nothing(small_disk, tmp_path):
    save_encoder(tiny_static(), tmp_path / "model", card="")
    (tmp_path / "texts.txt").write_text("\n".join(sentences(8000)))
    done = nearfar("encode", tmp_path / "model", tmp_path / "texts.txt", "--out", small_disk / "v.npy")
    assert_refused(done, [f"{small_disk / 'v.npy'}: expected a place to write to, found", "free some space"])
    assert list(small_disk.iterdir()) == []


def test_the_world_itself_is_good(world, monkeypatch, tmp_path):
    """What the table calls good is: otherwise its cases prove nothing."""
    folder, _ = world
    monkeypatch.chdir(folder)
    assert nearfar("search", "run", "stone").code == 0
    assert nearfar("encode", "other", "texts.txt", "--out", tmp_path / "v.npy").code == 0
    assert np.load(tmp_path / "v.npy").shape == (2, 32)
    assert nearfar("data", "check", "good.jsonl").code == 0
    assert nearfar(*ON_GOOD, "--out", tmp_path / "run").code == 0
