"""Sampled pictures of a video, exactly those of a full decode, at a fraction of its cost.

packets   one reader splits the file into chunks of whole GOPs           (packets.py)
plan      which packets of a chunk must be decoded for the wanted times  (plan.py)
pictures  a decoder follows the plan and keeps the frames on display     (pictures.py)
chunks    as many chunks at once as there are threads, handed on in order (chunks.py)
"""

from pipeline.decode.chunks import decode
from pipeline.decode.packets import Sound
from pipeline.decode.pictures import Decoded
from pipeline.decode.seek import frames_at

__all__ = ["Decoded", "Sound", "decode", "frames_at"]
