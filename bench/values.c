// SPDX-License-Identifier: Apache-2.0
// Figures of rounds that were taken in turn, and the machine that they were taken on.
#include "bench/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/log.h"

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double values_quantile(const double *values, int count, double part)
{
	double sorted[MOST_ROUNDS];

	memcpy(sorted, values, (size_t)count * sizeof(*sorted));
	qsort(sorted, (size_t)count, sizeof(*sorted), compare_doubles);
	return sorted[(int)(part * (count - 1) + 0.5)];
}

double values_ratio(const double *over, const double *under, const double *base, int count)
{
	double ratio[MOST_ROUNDS] = {0};

	for (int i = 0; i < count; i++) {
		const double off = base ? base[i] : 0;

		ratio[i] = (over[i] - off) / (under[i] - off);
	}
	return values_quantile(ratio, count, 0.5);
}

static void read_cpu(char name[128])
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "model name : %127[^\n]", name) == 1)
			break;
	if (f)
		fclose(f);
}

json_t *values_heading(const char *of_rows, int rounds)
{
	char cpu[128] = "unknown";
	struct utsname system;
	double load = 0;
	json_t *all;

	read_cpu(cpu);
	uname(&system);
	if (getloadavg(&load, 1) != 1)
		fatalx("this machine does not say how loaded it is");
	printf("%s, %ld CPUs, Linux %s, load %.1f%s; %s\n", cpu, sysconf(_SC_NPROCESSORS_ONLN),
	       system.release, load, load < QUIET_LOAD ? "" : " (beside other work)", of_rows);
	all = json_pack("{s:s, s:i, s:s, s:f, s:i}", "cpu", cpu, "cpus",
			(int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", system.release, "load", load,
			"rounds", rounds);
	if (!all)
		fatalx("memory");
	return all;
}
