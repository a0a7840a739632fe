"""The program that speaks: eSpeak NG in a process of its own, run by the dataset `speech` as a script.

`python speaker.py LIBRARY`, in the folder that holds `espeak-ng-data`, reads lines `voice TAB rate TAB pitch TAB
words` from stdin and writes to stdout, for each, the number of samples (int32) and the samples (int16, 22,050 a
second), little-endian.

The library draws noise from the C library's one random state, and its voices carry state from word to word: only a
process that does nothing else, from the first line to the last, says the same each time.
"""

from __future__ import annotations

import ctypes
import sys
from typing import BinaryIO

_SYNCHRONOUS, _BY_CHARACTER, _UTF8 = 2, 1, 1
_RATE, _PITCH = 1, 3
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(library: str, lines: BinaryIO, out: BinaryIO) -> None:
    """Says the lines in order. Raises RuntimeError when the library refuses one."""
    espeak = ctypes.CDLL(library)
    sound = bytearray()

    @_CALLBACK
    def heard(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            sound.extend(ctypes.string_at(samples, 2 * count))
        return 0

    # The folder is "." since the library cuts off paths of more than 160 bytes.
    if espeak.espeak_Initialize(_SYNCHRONOUS, 0, b".", 0) != 22050:
        raise RuntimeError("espeak_Initialize gave another sample rate than 22050")
    espeak.espeak_ng_SetRandSeed(0)
    espeak.espeak_SetSynthCallback(heard)
    spoken = b""
    for line in lines:
        voice, rate, pitch, words = line.rstrip(b"\n").split(b"\t")
        if voice != spoken and espeak.espeak_SetVoiceByName(voice):
            # It would go on with the voice before.
            raise RuntimeError(f"no voice {voice.decode()}")
        spoken = voice
        espeak.espeak_SetParameter(_RATE, int(rate), 0)
        espeak.espeak_SetParameter(_PITCH, int(pitch), 0)
        sound.clear()
        if espeak.espeak_Synth(words, len(words) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None):
            raise RuntimeError(f"cannot say {words.decode()}")
        out.write((len(sound) // 2).to_bytes(4, "little"))
        out.write(sound)


if __name__ == "__main__":
    speak(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
