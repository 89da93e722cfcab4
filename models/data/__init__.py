"""Training data of many kinds -> one record. Reading pixels is done by functions handed in; nothing is decoded here.

find    folders, JSON and CSV files -> every file once, with all that is said about it
read    files -> pixels and targets in one `Dataset`, problems counted and named
"""
