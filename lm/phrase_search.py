"""The best path through a graph of tokens: CTC token passing, a frame at a time.

A node is a token at one place of a phrase. At each frame a path is inside a node (its token is
being said) or behind it (blanks after it), as in the trellis of Graves et al. 2006 ("Connectionist
Temporal Classification", section 4.1), with a maximum in place of the sum. Only scores are kept,
for every frame; which way a path came is worked out again when one is traced, so that a frame costs
a handful of array operations.

All scores are relative: the log-probability of a path less that of the best path without any
phrase, which is the best token of every frame. They are 0 at most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .alphabet import Alphabet
from .automaton import GAP, Automaton, children_first

Floats = NDArray[np.float32]
Ints = NDArray[np.integer]

MOST_NODES = 1500
"""In a beam, no more nodes than this are kept after a frame (but for ties)."""

_BLANK, _PAUSE = 0, 1  # columns of a row: the blank, and the better of blank and word delimiter
_START = 0  # the node before the first word
_DEAD = np.float32(-np.inf), np.float32(-np.inf)
_SILENT = -1  # in place of a token id


@dataclass(frozen=True, slots=True)
class TokenGraph:
    """Nodes and edges as arrays; node 0 is the silence before a phrase, the last the one after."""

    token_ids: Ints
    """The token of each node, `[N]`; -1 where nothing is said: silences and gaps."""
    columns: Ints
    """Where a row of scores holds each node's token, `[N]`."""
    row_ids: Ints
    """Token ids of a row's columns 2, 3, ..."""
    sources: Ints
    """Where each edge comes from, `[E]`; edges are in the order of their targets."""
    repeats: NDArray[np.bool_]
    """Whether an edge leads to its own token again, for which a blank must be between, `[E]`."""
    starts_word: NDArray[np.bool_]
    """Whether a word starts behind an edge, `[E]`."""
    first_edge: Ints
    """The first edge into each node, and their number, `[N + 1]`; each node has one at least."""
    accepting: Ints
    """Nodes in which a phrase may end."""
    most_tokens: float
    """Of the longest phrase; infinite where something may be repeated without end."""

    @property
    def n_nodes(self) -> int:
        """How many there are, N."""
        return len(self.token_ids)

    def rows(self, log_probs: Floats, alphabet: Alphabet) -> Floats:
        """Return scores relative to each frame's best token, `[n, columns]`.

        Args:
            log_probs: `[n, V]`, special tokens masked; each frame has a finite best.
            alphabet: Whose they are.
        """
        best = log_probs.max(axis=1, keepdims=True)
        rows = np.empty((len(log_probs), 2 + len(self.row_ids)), np.float32)
        rows[:, _BLANK] = rows[:, _PAUSE] = log_probs[:, alphabet.blank_id]
        if alphabet.delimiter_id is not None:
            np.maximum(rows[:, _BLANK], log_probs[:, alphabet.delimiter_id], out=rows[:, _PAUSE])
        rows[:, 2:] = log_probs[:, self.row_ids]
        rows -= best
        return rows


class Scores(NamedTuple):
    """Of the paths that are alive at one frame."""

    nodes: Ints | None
    """Where they are, in rising order; None: everywhere."""
    inside: Floats
    """Of the best path inside each node."""
    behind: Floats
    """Of the best path behind it, in blanks."""


@dataclass(frozen=True, slots=True)
class Run:
    """A token of a traced path, or a silence, and its frames."""

    node: int
    starts_word: bool
    start: int
    """Its first frame, counted from the first that was searched."""
    end: int
    """One past its last frame."""


def build_graph(automaton: Automaton, alphabet: Alphabet) -> TokenGraph:
    """Turn arcs into nodes: one for each state and the token that leads to it.

    A gap is a node of its own where the alphabet has a word delimiter: the delimiter, or a blank
    where the model missed it. Where it has none, the gap is only marked on the edge.
    """
    gap_is_node = alphabet.delimiter_id is not None
    into: list[list[int]] = [[_START], *([] for _ in automaton.arcs[1:])]
    symbols, states = [_SILENT], [-1]  # of each node; the start is no arc's
    for arcs in automaton.arcs:
        for symbol, target in arcs.items():
            known = any(symbols[node] == symbol for node in into[target])
            if (symbol != GAP or gap_is_node) and not known:
                into[target].append(len(symbols))
                symbols.append(symbol)
                states.append(target)
    node_of = {pair: node for node, pair in enumerate(zip(states, symbols, strict=True))}
    edges = [[(_START, False)], *(list[tuple[int, bool]]() for _ in symbols[1:])]
    for state, arcs in enumerate(automaton.arcs):
        for symbol, target in arcs.items():
            if symbol != GAP or gap_is_node:
                edges[node_of[target, symbol]] += [
                    (node, symbol != GAP and symbols[node] < 0) for node in into[state]
                ]
                continue
            for behind, after in automaton.arcs[target].items():
                edges[node_of[after, behind]] += [(node, True) for node in into[state]]
    accepting = [node for state in sorted(automaton.accepting) for node in into[state]]
    edges.append([(node, False) for node in accepting])
    return _arrays([*symbols, _SILENT], edges, accepting, _most_tokens(automaton))


def _arrays(
    symbols: list[int],
    edges: list[list[tuple[int, bool]]],
    accepting: list[int],
    most_tokens: float,
) -> TokenGraph:
    token_ids = np.maximum(np.array(symbols, np.int32), _SILENT)
    # np.unique would import numpy.ma, which takes 10 ms.
    row_ids = np.array(sorted(set(token_ids[token_ids >= 0].tolist())), np.int32)
    columns = np.where(token_ids >= 0, 2 + np.searchsorted(row_ids, token_ids), _PAUSE)
    counts = np.array([len(one) for one in edges])
    flat = np.array([edge for one in edges for edge in one], np.int32)
    sources = np.ascontiguousarray(flat[:, 0])
    targets = np.repeat(np.arange(len(edges)), counts)
    return TokenGraph(
        token_ids=token_ids,
        columns=columns.astype(np.int32),
        row_ids=row_ids,
        sources=sources,
        repeats=(token_ids[sources] == token_ids[targets]) & (token_ids[targets] >= 0),
        starts_word=flat[:, 1].astype(bool),
        first_edge=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        accepting=np.array([*accepting, len(edges) - 1], np.int32),
        most_tokens=most_tokens,
    )


def _most_tokens(automaton: Automaton) -> float:
    """Return the length of the longest path, in tokens."""
    longest: dict[int, float] = {}
    for state in children_first(automaton.arcs):
        longest[state] = max(
            (
                longest.get(target, math.inf) + (symbol != GAP)  # not known yet: it leads back here
                for symbol, target in automaton.arcs[state].items()
            ),
            default=0,
        )
    return longest[0]


class Search:
    """Passes scores along a graph.

    Args:
        graph: What may be said.
        beam: Paths so much worse than the best are dropped, in nats; None: none are, and the search
            is exact.
    """

    def __init__(self, graph: TokenGraph, beam: float | None) -> None:
        self.graph = graph
        self._beam = beam
        # Where an edge reads its score: inside or behind its source, but behind it for a repeat.
        self._reads = graph.sources + graph.n_nodes * graph.repeats
        self._first_edge = graph.first_edge[:-1]
        self._accepts = np.zeros(graph.n_nodes, np.bool_)
        self._accepts[graph.accepting] = True
        order = np.argsort(graph.sources, kind="stable")
        targets = np.repeat(np.arange(graph.n_nodes), np.diff(graph.first_edge))
        self._out_targets = targets[order]
        self._out_repeats = graph.repeats[order]
        self._out_counts = np.bincount(graph.sources, minlength=graph.n_nodes)
        self._out_first = np.cumsum(self._out_counts) - self._out_counts

    def start(self) -> Scores:
        """Return the scores before the first frame: silence alone."""
        if self._beam is not None:
            never = np.full(1, -np.inf, np.float32)
            return Scores(np.zeros(1, np.int64), np.zeros(1, np.float32), never)
        inside = np.full(self.graph.n_nodes, -np.inf, np.float32)
        inside[_START] = 0
        return Scores(None, inside, np.full_like(inside, -np.inf))

    def advance(self, scores: Scores, row: Floats) -> Scores:
        """Return the scores after one more frame, given its row (`TokenGraph.rows`)."""
        if scores.nodes is None:
            return self._everywhere(scores, row)
        return self._in_beam(scores.nodes, scores, row)

    def _everywhere(self, scores: Scores, row: Floats) -> Scores:
        either = np.maximum(scores.inside, scores.behind)
        both = np.concatenate([either, scores.behind])
        entered = np.maximum.reduceat(both[self._reads], self._first_edge)
        inside = np.maximum(entered, scores.inside)
        inside += row[self.graph.columns]
        either += row[_BLANK]
        return Scores(None, inside, either)

    def _in_beam(self, nodes: Ints, scores: Scores, row: Floats) -> Scores:
        either = np.maximum(scores.inside, scores.behind)
        counts = self._out_counts[nodes]
        ends = np.cumsum(counts)
        edges = np.arange(ends[-1]) + np.repeat(self._out_first[nodes] - ends + counts, counts)
        entering = np.repeat(either, counts)
        repeats = self._out_repeats[edges]
        entering[repeats] = np.repeat(scores.behind, counts)[repeats]
        targets = self._out_targets[edges]
        inside = np.full(self.graph.n_nodes, -np.inf, np.float32)
        inside[nodes] = scores.inside
        np.maximum.at(inside, targets, entering)
        is_found = np.zeros(self.graph.n_nodes, np.bool_)
        is_found[nodes] = is_found[targets] = True
        found = np.flatnonzero(is_found)
        inside = inside[found] + row[self.graph.columns[found]]
        behind = np.full(len(found), -np.inf, np.float32)
        behind[np.searchsorted(found, nodes)] = either + row[_BLANK]
        best = np.maximum(inside, behind)
        least = best.max() - self._beam
        if len(best) > MOST_NODES:
            least = max(least, np.partition(best, -MOST_NODES)[-MOST_NODES])
        kept = np.flatnonzero(best >= least)
        return Scores(found[kept], inside[kept], behind[kept])

    def best_end(self, scores: Scores) -> tuple[int, float]:
        """Return the best node that a phrase may end in, and its score: -inf if none is alive."""
        accepting = self.graph.accepting
        if scores.nodes is not None:
            accepting = scores.nodes[self._accepts[scores.nodes]]
            if not len(accepting):
                return _START, -np.inf
        return self._best_of(scores, accepting)

    def best(self, scores: Scores) -> tuple[int, float]:
        """Return the best node of all, and its score."""
        values = np.maximum(scores.inside, scores.behind)
        place = int(values.argmax())
        return place if scores.nodes is None else int(scores.nodes[place]), float(values[place])

    def trace(self, history: Sequence[Scores], rows: Sequence[Floats], node: int) -> list[Run]:
        """Follow the best path that ends in a node back to the start.

        Args:
            history: The scores before the first frame, and after each one.
            rows: Of the frames.
            node: Where it ends; its score is finite.

        Returns:
            Its tokens, and the silences between and after them, in order.
        """
        runs: list[Run] = []
        inside, behind = _at(history[-1], node)
        is_blank, end, frame = bool(behind > inside), len(rows), len(rows)
        column = self.graph.columns[node]
        while node != _START:
            frame -= 1
            here, (inside, behind) = inside, _at(history[frame], node)
            if is_blank:
                is_blank, end = bool(behind > inside), frame
            elif inside + rows[frame][column] != here:  # it was not there before this frame
                edge = self._entry(history[frame], node)
                runs.append(Run(node, bool(self.graph.starts_word[edge]), frame, end))
                node, end = int(self.graph.sources[edge]), frame
                inside, behind = _at(history[frame], node)
                is_blank = bool(self.graph.repeats[edge] or behind > inside)
                column = self.graph.columns[node]
        return runs[::-1]

    def _entry(self, scores: Scores, node: int) -> int:
        """Return the edge by which the best path enters a node."""
        first, last = int(self.graph.first_edge[node]), int(self.graph.first_edge[node + 1])
        if last == first + 1:
            return first
        inside, behind = np.transpose([_at(scores, one) for one in self.graph.sources[first:last]])
        inside[self.graph.repeats[first:last]] = -np.inf
        return first + int(np.maximum(inside, behind).argmax())

    def _best_of(self, scores: Scores, nodes: Ints) -> tuple[int, float]:
        places = nodes if scores.nodes is None else np.searchsorted(scores.nodes, nodes)
        values = np.maximum(scores.inside[places], scores.behind[places])
        best = int(values.argmax())
        return int(nodes[best]), float(values[best])


def _at(scores: Scores, node: int) -> tuple[np.float32, np.float32]:
    """Return the scores inside and behind one node; -inf where no path is alive."""
    if scores.nodes is None:
        return scores.inside[node], scores.behind[node]
    place = int(np.searchsorted(scores.nodes, node))
    if place == len(scores.nodes) or scores.nodes[place] != node:
        return _DEAD
    return scores.inside[place], scores.behind[place]
