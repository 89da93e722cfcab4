"""The classical questions of classes, boxes, transfer and windows, measured anew: `python -m benchmarks.study`.

question    what is asked, and in which ways it is tried: records
seeds       a figure over seeds and its interval; differences between ways of one seed
words       figures as they are told
findings    sentences that are computed from figures; `choices`: what we do by default, and whether figures bear it out
sources     where pictures come from
teaching    folds, one training by the pieces of `models`, and its figures
heads, regimes, costs, starts, steps, labels, windows    the questions, by what they are about
questions   all of them, in order
runner      each way and seed once, its result in a file; what is there is not done again
writer      results -> docs/study.md; `plots` draws
"""
