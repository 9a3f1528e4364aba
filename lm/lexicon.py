"""A prefix tree over words that whole arrays of beginnings walk at once."""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]

ROOT = 0
"""The node of the empty beginning."""
_LARGEST_TABLE = 1 << 20  # edges, 8 MB; larger trees are searched
_NO_MORE = -1  # in the table of the tokens' characters: the token is shorter than the longest one


class PrefixTree:
    """Which beginnings of words there are; node 0 is the empty one, -1 stands for "no word so".

    Nodes are numbered level by level, so that the edges (node, character), packed into one number
    each, are sorted as they are made, and edge i leads to node i + 1: one sorted array is the tree.

    Args:
        words: Spelled as the tokens spell.
        tokens: Of the alphabet; one may have several characters.
    """

    def __init__(self, words: Collection[str], tokens: Sequence[str]) -> None:
        ordered = sorted(set(words) - {""})
        lengths = np.array([len(word) for word in ordered], np.int64)
        characters, codes = np.unique(_code_points("".join(ordered)), return_inverse=True)
        # One code more than there are characters: that of all others, on no edge.
        self._n_codes = len(characters) + 1
        offsets = np.cumsum(lengths) - lengths
        self._ends = np.zeros(len(ordered), np.int64)
        edges: list[Ids] = []
        n_nodes = 1
        for depth in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > depth)
            packed = self._ends[longer] * self._n_codes + codes[offsets[longer] + depth]
            level, place = np.unique(packed, return_inverse=True)
            self._ends[longer] = n_nodes + place
            n_nodes += len(level)
            edges.append(level)
        self._words = ordered
        self.n_nodes = n_nodes
        # Also for -1, which is no node and no word.
        self.is_word = np.zeros(n_nodes + 1, bool)
        self.is_word[self._ends] = True
        last = np.array([np.iinfo(np.int64).max])  # so that every search ends on an edge
        self._edges = np.concatenate([*edges, last])
        self._token_codes = self._codes_of(tokens, characters)
        self._table: Ids | None = None  # every step there is, from node -1 on
        if n_nodes * len(tokens) <= _LARGEST_TABLE:
            self._n_tokens = len(tokens)
            self._table = self._all_steps()

    def step(self, nodes: Ids, tokens: Ids) -> Ids:
        """Follow every token from every node.

        Args:
            nodes: `[n]`; -1 leads nowhere.
            tokens: Ids, `[k]`.

        Returns:
            The nodes reached, `[n, k]`; -1 where no word begins so.
        """
        if self._table is not None:
            return self._table.take(((nodes + 1) * self._n_tokens)[:, None] + tokens)
        return self._search(nodes, tokens)

    def _search(self, nodes: Ids, tokens: Ids) -> Ids:
        reached = nodes[:, None]
        for depth, codes in enumerate(self._token_codes[:, tokens]):
            packed = reached * self._n_codes + codes
            place = self._edges.searchsorted(packed)
            after = np.where(self._edges[place] == packed, place + 1, -1)
            reached = after if depth == 0 else np.where(codes == _NO_MORE, reached, after)
        return reached

    def _all_steps(self) -> Ids:
        """Return where each token leads from each node, -1 included."""
        if len(self._token_codes) > 1:
            nodes, ids = np.arange(-1, self.n_nodes), np.arange(self._n_tokens)
            return self._search(nodes, ids).ravel()
        steps = np.full((self.n_nodes + 1, self._n_codes), -1)
        steps.ravel()[self._edges[:-1] + self._n_codes] = np.arange(1, self.n_nodes)
        return steps[:, self._token_codes[0]].ravel()

    def paths(self) -> list[tuple[str, Ids]]:
        """Return each word with its nodes: first letter first, the whole word last."""
        parents = np.concatenate([[-1], self._edges[:-1] // self._n_codes])
        found = []
        for word, end in zip(self._words, self._ends.tolist(), strict=True):
            path = [end]
            while len(path) < len(word):
                path.append(int(parents[path[-1]]))
            found.append((word, np.array(path[::-1])))
        return found

    def _codes_of(self, tokens: Sequence[str], characters: NDArray[np.uint32]) -> Ids:
        """Return the characters of each token as codes, `[longest, tokens]`."""
        longest = max(map(len, tokens), default=1)
        table = np.full((max(1, longest), len(tokens)), _NO_MORE, np.int64)
        for id_, token in enumerate(tokens):
            points = _code_points(token)
            place = np.searchsorted(characters, points)
            known = place < len(characters)
            known[known] = characters[place[known]] == points[known]
            table[: len(points), id_] = np.where(known, place, self._n_codes - 1)
        return table


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
