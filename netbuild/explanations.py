"""What each error code means, with a spec that has the problem and one that has not.

The tests hold that every code is here, that every wrong example has its problem and that every
right one has none. Files that the examples name are in `FILES`.
"""

from __future__ import annotations

from typing import NamedTuple

from netbuild.files.door import ARRAYS, FORMATS
from netbuild.wording import either

# The text files that examples name.
FILES = {
    "wiring.csv": "1,0\n0,1\n1,1\n",
    "ragged.csv": "1,0\n0\n1,1\n",
    "counts.csv": "3,0\n0,1\n7,1\n",
    "data.csv": "".join(f"{i % 5},{i % 3}\n" for i in range(12)),
    "edges.csv": "pre,post,weight\nA,B,3\nB,C,2\nC,A,1\nA,B,4\n",
    "floats.csv": "pre,post,weight\n7.2057594e17,7.2057595e17,3\n",
    "neurons.csv": "name,kind,nt\nA,sensory,ACH\nB,inter,GABA\nC,motor,ACH\n",
    "kinds.csv": "pre,post,weight,Type\nA,B,3,chemical\nA,B,2,electrical\nB,A,1,chemical\n",
    "few.csv": "name,kind,nt\nA,sensory,ACH\nB,inter,GABA\n",
    "classes.csv": "".join(f"{i % 3}\n" for i in range(12)),
    "net.yaml": "netbuild: 1\ntask: {type: arrays, inputs: data.csv, targets: classes.csv}\n"
    "layers: [{name: out, type: linear, output_dim: 3}]\n"
    "training: {steps: 10, batch_size: 4}\n",
}


def _layer(keys: str, head: str = "") -> str:
    return f"netbuild: 1\n{head}layers:\n  - {{name: out, type: linear, {keys}}}\n"


def _wired(keys: str) -> str:
    return (
        "netbuild: 1\nlayers:\n  - name: brain\n    type: ctrnn\n    input_dim: 2\n    alpha: 0.2\n"
        f"    connectome: {{{keys}}}\n"
    )


_PLAIN = _layer("input_dim: 3, output_dim: 2")


class Explanation(NamedTuple):
    """One code: what it means, and the same spec wrong and right."""

    title: str
    meaning: str
    wrong: str = ""  # an example; "" where none can be written
    right: str = _PLAIN


_RECURRENT = (
    "netbuild: 1\nlayers:\n"
    "  - {name: hidden, type: ctrnn, input_dim: 3, size: 50, excitatory: 0.8, alpha: 0.2"
)
_TASK = "task: {type: arrays, inputs: data.csv, targets: classes.csv}\n"
_TRAINED = _layer("output_dim: 3", _TASK) + "training: {steps: 10, batch_size: 4}\n"
_EVALUATED = _TRAINED.replace("batch_size: 4", "batch_size: 4, evaluate: {every: 5}")


def _staged(change: str) -> str:
    """A training whose second stage changes something."""
    stages = f"[{{name: one, steps: 5}}, {{name: two, steps: 5, set: {{{change}}}}}]"
    return _TRAINED.replace("steps: 10", f"stages: {stages}")


def _experiment(keys: str) -> str:
    return f"netbuild: 1\nexperiment: example\nspec: net.yaml\n{keys}"


EXPLANATIONS: dict[str, Explanation] = {
    "NB001": Explanation(
        "the spec cannot be read",
        "The path does not lead to a regular file that may be read, or the file is larger than"
        " 1 MiB. Keep matrices in separate files.",
    ),
    "NB002": Explanation(
        "not text",
        "A spec is UTF-8 text. This file holds a byte or a character that YAML does not allow.",
        "netbuild: 1\nname: a\x07b\n",
    ),
    "NB003": Explanation(
        "not YAML",
        "The text is not YAML: brackets or quotes that do not close, tabs as indentation, `: `"
        " inside unquoted text, or more than one document.",
        "netbuild: 1\nlayers: [\n",
    ),
    "NB004": Explanation(
        "a key that is written twice",
        "YAML parsers silently keep one of two equal keys; only you know which of them you meant.",
        _layer("input_dim: 3, output_dim: 2, output_dim: 4"),
    ),
    "NB005": Explanation(
        "a tag or an alias that is not allowed",
        "A spec has no tags (`!...`). An alias needs an anchor above it, and must not stand inside"
        " what it refers to. `<<` takes mappings.",
        "netbuild: !!int 1\n",
    ),
    "NB006": Explanation(
        "too deep or too large",
        "A spec nests at most 64 levels deep and holds at most 100,000 values once anchors are"
        " expanded. Keep matrices in separate files.",
        f"netbuild: {'[' * 70}{']' * 70}\n",
    ),
    "NB007": Explanation(
        "an ambiguous or too long number",
        "`014` is 14 to some readers and 12 (octal) to others; a number of more than 18 digits does"
        " not fit into 64 bits.",
        "netbuild: 1\nseed: 014\n",
        _layer("input_dim: 3, output_dim: 2", "seed: 14\n"),
    ),
    "NB008": Explanation(
        "a key that is not a name",
        "Keys are text. `1:` and `true:` are a number and a truth value in YAML; quotes make them"
        " text.",
        "netbuild: 1\n1: x\n",
    ),
    "NB009": Explanation(
        "not a spec",
        "A spec is a mapping of keys; this file is empty, or holds a list or a single value.",
        "- netbuild\n",
    ),
    "NB101": Explanation(
        "an unknown key",
        "Unknown keys are errors, since a misspelt one would silently train something else. The"
        " help names the most similar key, or the section that has a key of this name.",
        _layer("input_dim: 3, outptu_dim: 2"),
    ),
    "NB102": Explanation(
        "a key is missing",
        "This section needs the key; the help says what it is.",
        _layer("input_dim: 3"),
    ),
    "NB103": Explanation(
        "a value of the wrong kind",
        'Nothing is converted: `true` is not 1, "3" is not 3, `yes` is text in YAML 1.2. An empty'
        " section often means that the lines below it are not indented.",
        _layer("input_dim: 3, output_dim: true"),
    ),
    "NB104": Explanation(
        "a value out of its range",
        "The value is outside what makes sense here, or a list has too few or too many items.",
        _layer("input_dim: 3, output_dim: 0"),
    ),
    "NB105": Explanation(
        "a value that is not a choice",
        "The value is one of a closed list of words; nothing else is ever looked up or imported.",
        _layer("input_dim: 3, output_dim: 2, activation: rleu"),
    ),
    "NB106": Explanation(
        "text of the wrong form",
        "Names are lower-case letters, digits and `_`, beginning with a letter, since they name"
        " parameters, log entries and files.",
        "netbuild: 1\nlayers:\n  - {name: My Layer, type: linear, input_dim: 3, output_dim: 2}\n",
        "netbuild: 1\nlayers:\n  - {name: my_layer, type: linear, input_dim: 3, output_dim: 2}\n",
    ),
    "NB107": Explanation(
        "another version of the language",
        "`netbuild: 1` is the version of the language that the file is written in. This program"
        " reads version 1; a later file needs a later program.",
        _PLAIN.replace("netbuild: 1", "netbuild: 2"),
    ),
    "NB110": Explanation(
        "a path that leads nowhere",
        "A path of `set:`, `--set` or `--unset` consists of keys joined by dots; `[name]` or `[0]`"
        " picks an item of a list.",
        _PLAIN + 'set: {"layers[hidden].output_dim": 4}\n',
        _PLAIN + 'set: {"layers[out].output_dim": 4}\n',
    ),
    "NB112": Explanation(
        "a file that cannot be extended",
        "`extends` names files beside the spec, at most 16 deep and never in a circle.",
        "netbuild: 1\nextends: [missing.yaml]\n",
    ),
    "NB113": Explanation(
        "an override that a later one drops",
        "A later override must not replace or remove what an earlier override has set:"
        " `--set training.optimizer.lr=0.5 --set 'training={epochs: 1}'` would lose the 0.5. The"
        " same path may be set twice on a command line, where the last one counts.",
        _PLAIN + 'set: {"layers[out].weight.std": 0.5, "layers[out].weight": normal}\n',
        _PLAIN + 'set: {"layers[out].weight": normal, "layers[out].weight.std": 0.5}\n',
    ),
    "NB201": Explanation(
        "a matrix of the wrong shape",
        "The array does not fit the sizes of its map. With `rows: pre` it is (input_dim,"
        " output_dim), with `rows: post` (output_dim, input_dim).",
        _layer("input_dim: 2, output_dim: 3, sparsity_mask: wiring.csv"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wiring.csv"),
    ),
    "NB202": Explanation(
        "a file that is not there",
        "Paths are relative to the file that contains them.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wirign.csv"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wiring.csv"),
    ),
    "NB203": Explanation(
        "a file that may not be read",
        "A spec reads regular files of its project alone: the nearest folder with `.git` or"
        " `pyproject.toml`, else its own folder. No URL, `~`, device, or way out through `..` or"
        " links. `--data-root` names another folder.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: 'https://example.org/w.csv'"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wiring.csv"),
    ),
    "NB204": Explanation(
        "a file that is damaged or of another format",
        f"Files are {either(ARRAYS)}, those of a connectome also"
        f" {', '.join(suffix for suffix in FORMATS if suffix not in ARRAYS)} and .gz, by their"
        " name and by their first bytes. Pickled"
        " and object arrays are never read; a truncated file or a ragged table is refused.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: ragged.csv"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wiring.csv"),
    ),
    "NB205": Explanation(
        "values that do not belong in this array",
        "A sparsity mask holds 0 and 1, or counts with a `threshold:`; a plasticity mask values in"
        " [0, 1]; no array NaN or infinity.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: counts.csv"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: {file: counts.csv, threshold: 0}"),
    ),
    "NB206": Explanation(
        "no such array in the file",
        "`array:` names one of the arrays of an .npz file; other files hold one array without a"
        " name.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: {file: wiring.csv, array: w}"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: {file: wiring.csv}"),
    ),
    "NB207": Explanation(
        "an array of another type",
        "Arrays hold truth values, whole numbers or floating-point numbers of up to 64 bits; no"
        " complex numbers, text, dates or records.",
        _layer("input_dim: 3, output_dim: 2, weight: complex.npy"),
        _layer("input_dim: 3, output_dim: 2, weight: normal"),
    ),
    "NB211": Explanation(
        "a table without the columns that it needs",
        "An edge list has a column for each of the two neurons, a node table one for their names."
        " Usual names are recognised (`pre`, `Source`, `pre_root_id`, `bodyId_pre` ...); others are"
        " given: `edges: {file: FILE, pre: COLUMN, post: COLUMN}`. Options about columns, and signs"
        " of neurotransmitters, need a file with such columns.",
        _wired("edges: neurons.csv"),
        _wired("edges: edges.csv"),
    ),
    "NB212": Explanation(
        "names that do not match",
        "An edge names a neuron that the node table does not have, a row of either table has no"
        " name, or two rows of the node table have the same name. `unmatched: drop` leaves out the"
        " edges of unknown neurons, and reports how many.",
        _wired("edges: edges.csv, neurons: few.csv"),
        _wired("edges: edges.csv, neurons: neurons.csv"),
    ),
    "NB213": Explanation(
        "ids that are floating-point numbers",
        "Ids of 17 and more digits are not exact as floating-point numbers, and two neurons become"
        " one. Spreadsheets and missing values turn ids into such numbers: write the file again,"
        " from its source, with the ids as integers or as text.",
        _wired("edges: floats.csv"),
        _wired("edges: edges.csv"),
    ),
    "NB214": Explanation(
        "signs that are missing or contradict each other",
        "A neuron is excitatory, inhibitory or free, by a column of the node table or by the"
        " neurotransmitter of its edges. Where edges of one neuron have different ones, the node"
        " table has to say its sign. `signs` says which sign a neurotransmitter has; others are"
        " free, or refused under `unknown: error`.",
        _wired("edges: edges.csv, neurons: neurons.csv, signs: {ACH: 1}, unknown: error"),
        _wired("edges: edges.csv, neurons: neurons.csv, signs: {ACH: 1, GABA: -1}"),
    ),
    "NB215": Explanation(
        "no connections",
        "The file has no rows, or `where`, `min_weight` and the like leave none of them.",
        _wired("edges: edges.csv, min_weight: 100"),
        _wired("edges: edges.csv, min_weight: 1"),
    ),
    "NB216": Explanation(
        "one connection in two rows",
        "Under `duplicates: error` each pair of neurons has one row at most. Where a pair has a row"
        " for each brain region, `duplicates: sum`, the default, adds their counts.",
        _wired("edges: edges.csv, duplicates: error"),
        _wired("edges: edges.csv, duplicates: sum"),
    ),
    "NB301": Explanation(
        "widths that do not fit",
        "What a layer reads is not as wide as its `input_dim`, or nothing says how wide the"
        " network's input is. Leave `input_dim` out where it follows from a layer or the task.",
        "netbuild: 1\nlayers:\n"
        "  - {name: hidden, type: linear, input_dim: 3, output_dim: 4}\n"
        "  - {name: out, type: linear, input_dim: 5, output_dim: 2}\n",
        "netbuild: 1\nlayers:\n"
        "  - {name: hidden, type: linear, input_dim: 3, output_dim: 4}\n"
        "  - {name: out, type: linear, output_dim: 2}\n",
    ),
    "NB302": Explanation(
        "a source that is not there",
        "`from` names `input`, a layer above this layer or an area of such a layer; if its units"
        " have signs, `.excitatory` or `.inhibitory` selects some of them. Units of a connectome"
        " are selected by columns of its node table, `{layer: worm, kind: motor}`: the column must"
        " exist, and some unit must have each value. A number matches cells of the same value (`3`"
        " matches `3.0`); text matches the same text.",
        _layer("input_dim: 3, output_dim: 2, from: hiden"),
        _layer("input_dim: 3, output_dim: 2, from: input"),
    ),
    "NB303": Explanation(
        "a name that is taken",
        "Two layers or regularizers have the same name, or a layer has a name that a network uses"
        " itself, such as `train` or `forward`.",
        _PLAIN.replace("name: out", "name: forward"),
    ),
    "NB304": Explanation(
        "a regularizer that matches no parameter",
        "Parameters are named `<layer>.weight` and `<layer>.bias`; `*` matches anything.",
        _PLAIN + "regularizers: [{type: L1, params: hidden.weight}]\n",
        _PLAIN + "regularizers: [{type: L1, params: out.weight}]\n",
    ),
    "NB305": Explanation(
        "a reference that does not fit",
        "Dale's law needs signs to compare weights with: either those of the units that the map"
        " reads or a `reference`, not both.",
        _PLAIN + "regularizers: [{type: DaleLawL2, params: out.weight}]\n",
        _layer("input_dim: 3, output_dim: 2, ei_mask: [1, 1, -1]")
        + "regularizers: [{type: DaleLawL2, params: out.weight}]\n",
    ),
    "NB306": Explanation(
        "a square matrix whose orientation is not written",
        "The shape of a square matrix does not show whether its rows are presynaptic, and nothing"
        " would reveal a transposed matrix. `rows: pre` means that entry [i, j] is the connection"
        " from i to j.",
        _layer("input_dim: 2, output_dim: 2, sparsity_mask: [[1, 0], [1, 1]]"),
        _layer("input_dim: 2, output_dim: 2, sparsity_mask: {values: [[1, 0], [1, 1]], rows: pre}"),
    ),
    "NB307": Explanation(
        "targets that do not fit the loss",
        "cross_entropy takes one class number for each sample, from 0 to outputs - 1; mse takes as"
        " many values as there are outputs.",
        _TRAINED.replace("output_dim: 3", "output_dim: 2"),
        _TRAINED,
    ),
    "NB308": Explanation(
        "keys that contradict each other",
        "Two keys say the same thing, or a key makes no sense without, or together with, another.",
        _layer("input_dim: 3, output_dim: 2, density: 0.5, sparsity_mask: wiring.csv"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: wiring.csv"),
    ),
    "NB309": Explanation(
        "too few samples",
        "The split leaves fewer training samples than a batch needs, or no sample to train, to"
        " validate or to test on.",
        _TRAINED.replace("batch_size: 4", "batch_size: 40"),
        _TRAINED,
    ),
    "NB310": Explanation(
        "an environment that cannot be used",
        "The environment refuses its arguments, gives no right answers, replaces a value that was"
        " given, or has a period that is shorter than `dt`.",
        "netbuild: 1\ndt: 20\ntask: {type: neurogym, env: PulseDecisionMaking-v0}\n"
        + _layer("output_dim: 3").removeprefix("netbuild: 1\n"),
        "netbuild: 1\ndt: 10\ntask: {type: neurogym, env: PulseDecisionMaking-v0}\n"
        + _layer("output_dim: 3").removeprefix("netbuild: 1\n"),
    ),
    "NB311": Explanation(
        "test samples that were trained on",
        "The weights were trained on samples that are test or validation samples here, or chosen on"
        " samples that are test samples here, by another `seed` or another `split`, so that the"
        " score would not be that of unseen samples. The file of the weights records which samples"
        " of which data file they have seen.",
        _staged("task.split.seed: 1"),
        _staged("training.optimizer.lr: 1e-4"),
    ),
    "NB401": Explanation(
        "an experiment where a spec is expected, or the other way round",
        "A file with the key `experiment` names a spec and what is varied in it; `netbuild sweep`"
        " runs it. A file without this key is a spec, which `netbuild train` trains.",
        _experiment("").replace("spec: net.yaml", "layers: []"),
    ),
    "NB402": Explanation(
        "nothing to try, or nothing that can be tried",
        "A list of values or seeds is empty or has the same one twice; the bounds of a distribution"
        " have nothing between them; lists that change together differ in length; a grid is given"
        " a distribution, of which it would not know which values to take.",
        _experiment("parameters: {training.steps: {distribution: uniform, min: 2, max: 1}}\n"),
        _experiment("parameters: {training.steps: [10, 20]}\n"),
    ),
    "NB403": Explanation(
        "a formula that cannot be computed",
        "A formula of `derive` has numbers, paths of the spec, `+ - * / **` and parentheses, and"
        " nothing else. What it reads must be a number, no formula may read its own value, and the"
        " result must be finite.",
        _experiment("derive: {training.steps: 2 * (training.batch_size}\n"),
        _experiment("derive: {training.steps: 2 * (training.batch_size + 1)}\n"),
    ),
    "NB404": Explanation(
        "something that the experiment or its spec does not have",
        "`zip` names parameters, `baseline` names a condition, `metric` a score that the task has;"
        " `draws` needs a null model, which is drawn anew each time.",
        _experiment("conditions: {a: {}}\nbaseline: b\n"),
        _experiment("conditions: {a: {}}\nbaseline: a\n"),
    ),
    "NB405": Explanation(
        "more runs than anybody means",
        "The combinations of all values, conditions and seeds are more than 10,000. `netbuild sweep"
        " --yes` starts them nevertheless.",
        _experiment("seeds: 10000\nparameters: {training.steps: [10, 20]}\n"),
        _experiment("seeds: 2\nparameters: {training.steps: [10, 20]}\n"),
    ),
    "NB406": Explanation(
        "a folder of another experiment",
        "The folder `experiments/<name>` belongs to another file that has the same name. Give this"
        " experiment a name of its own, or name another folder with `--out`.",
    ),
    "NB601": Explanation(
        "a map without any connection",
        "A warning: the spec is valid, but the mask leaves no connection, or the density rounds to"
        " none, so that the layer receives nothing and every unit stays at its bias.",
        _layer("input_dim: 3, output_dim: 2, density: 0.01"),
        _layer("input_dim: 3, output_dim: 2, density: 0.9"),
    ),
    "NB602": Explanation(
        "units without a connection",
        "A warning: the spec is valid, but some units receive nothing through this map and stay at"
        " their bias, or send nothing through any map and do not affect what the network computes."
        " Units are counted from 0.",
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: [[1, 0], [0, 0], [1, 0]]"),
        _layer("input_dim: 3, output_dim: 2, sparsity_mask: [[1, 0], [0, 1], [1, 0]]"),
    ),
    "NB603": Explanation(
        "a start that may explode",
        "Weights drawn under signs have a mean, and with four times as many excitatory units it is"
        " large: the recurrent weight then has an eigenvalue well above 1, and rates that nothing"
        " bounds (relu, softplus, power, linear) grow from step to step. The spec is valid, but"
        " training may diverge at once.",
        _RECURRENT + "}\n",
        _RECURRENT + ",\n     recurrent: {ei_balance: row}}\n",
    ),
    "NB604": Explanation(
        "connections of several kinds merged into one",
        "Some pairs of neurons have both chemical and electrical synapses, in separate rows, and"
        " `duplicates` merges these into one connection. Few models mean that: `where` reads the"
        " rows of a single kind.",
        _wired("edges: kinds.csv"),
        _wired("edges: kinds.csv, where: {Type: chemical}"),
    ),
    "NB605": Explanation(
        "neurotransmitters and signs that do not match",
        "`signs` names a neurotransmitter that no neuron has, often a typing error that leaves the"
        " neurons in question without a sign; or the edges have neurotransmitters and `signs` is"
        " missing, so that all units are free.",
        _wired("edges: edges.csv, neurons: neurons.csv, signs: {ACH: 1, GABBA: -1}"),
        _wired("edges: edges.csv, neurons: neurons.csv, signs: {ACH: 1, GABA: -1}"),
    ),
    "NB606": Explanation(
        "a null model that changes nothing",
        "Swaps keep how many partners each neuron has. If a wiring is small or nearly complete, no"
        " other wiring has the same numbers, and the measured connectome itself is trained.",
        _wired("edges: kinds.csv, where: {Type: chemical}, control: {rewire: degree_preserving}"),
        _wired("edges: edges.csv, control: {rewire: er}"),
    ),
    "NB607": Explanation(
        "a choice made on the test set",
        "A warning: the spec is valid, but `stop_when` ends the training, or the best of several"
        " evaluations is kept, by scores on the test set. The score of what was chosen on some"
        " samples is too good for unseen ones. With `validation` in `split`, choices are made on"
        " validation samples, and the test set is scored once, at the end. `selected_on` in"
        " `run.json` says what the choices of a run were made on.",
        _EVALUATED,
        _EVALUATED.replace("csv}", "csv, split: {train: 0.5, validation: 0.25}}"),
    ),
    "NB901": Explanation(
        "more than a machine can give",
        "From the sizes alone, training needs more memory than this machine can give; nothing has"
        " been allocated. The same code refuses thousands of patterns over thousands of parameters,"
        " whose comparison would take seconds, and data files that are too large or that unpack"
        " to far more than honest data would.",
        _layer("input_dim: 1000000, output_dim: 1000000"),
    ),
    "NB1001": Explanation(
        "a missing extra",
        "The spec needs an optional package; the message says how to install it:"
        " `pip install 'netbuild[tasks]'` installs neurogym.",
        "",
        "netbuild: 1\ndt: 20\ntask: {type: neurogym, env: PerceptualDecisionMaking-v0}\n"
        + _layer("output_dim: 3").removeprefix("netbuild: 1\n"),
    ),
}
