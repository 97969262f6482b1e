#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rows are compared round by round: one that was taken beside others' work has all its figures larger."""
import unittest

from rounds import row_of


class RowOf(unittest.TestCase):
    def test_compares_round_by_round(self):
        row = row_of([20, 90, 30], [10, 30, 10])
        self.assertEqual(row["to_base"], 3)
        self.assertEqual(row["over_base"], 20)
        self.assertEqual((row["median"], row["least"], row["most"]), (30, 20, 90))

    def test_is_no_ratio_of_medians(self):
        row = row_of([1, 10, 100], [4, 20, 5])
        self.assertEqual(row["to_base"], 0.5)
        self.assertEqual(row["over_base"], -3)

    def test_a_round_without_a_base_is_nothing(self):
        self.assertEqual(row_of([5, 5, 5], [0, 0, 0])["to_base"], 0)


unittest.main()
