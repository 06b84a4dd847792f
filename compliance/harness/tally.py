"""Counting: every check prints one line, every run ends with `N passed, N failed`."""

import sys
import time
import traceback


class Tally:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, body, *arguments):
        """Run one check. It passes by returning; what it returns, if anything, is shown beside its name."""
        started = time.monotonic()
        try:
            note = body(*arguments)
        except Exception as error:  # whatever goes wrong in a check is that check's failure, and the next one still runs
            self.failed += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            print("  FAILED  %s\n          %s: %s (%s:%d)" % (name, type(error).__name__, error, where.filename, where.lineno))
        else:
            self.passed += 1
            print("  ok      %s%s  [%.1f s]" % (name, " (%s)" % note if note else "", time.monotonic() - started))
        sys.stdout.flush()

    def finish(self):
        """Print the counts and exit. A run in which nothing passed has not checked anything."""
        print("%d passed, %d failed" % (self.passed, self.failed))
        sys.exit(1 if self.failed or not self.passed else 0)


def expect(condition, words, *values):
    if not condition:
        raise AssertionError(words % values if values else words)


def expect_equal(got, wanted, what="value"):
    if got != wanted:
        raise AssertionError("%s: expected %s, got %s" % (what, shortened(wanted), shortened(got)))


def shortened(value):
    words = repr(value)
    return words if len(words) <= 200 else "%s... (%d characters)" % (words[:200], len(words))
