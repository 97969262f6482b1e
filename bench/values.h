/* SPDX-License-Identifier: Apache-2.0 */
// Figures of rounds that were taken in turn, and the machine that they were taken on.
#pragma once

#include <jansson.h>

#define MOST_ROUNDS 64

// The value below which this part of them lies, from 0 to 1.
double values_quantile(const double *values, int count, double part);

// The median of each round's (over - base) / (under - base): what the machine did in a round met
// all three. base NULL: nothing is taken off.
double values_ratio(const double *over, const double *under, const double *base, int count);

// Above this many runnable processes on average the figures are said to be beside other load.
#define QUIET_LOAD 1.5

// One line of machine, kernel and load, with what is said of the rows, is printed. Returns the same
// as an object, to which "results" are added.
json_t *values_heading(const char *of_rows, int rounds);
