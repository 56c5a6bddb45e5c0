"""Music to separate: three synthetic instruments, their spectra, and each bin as a timbre.

A scene is a few seconds of notes played by three instruments over each other. A *bin* is one pitch
in one frame of the short-time spectrum; its *timbre* is how strong the harmonics of that pitch are
there. What an ideal transcription knows, which pitch sounds when (but not who plays it), is the
note posterior.
"""

from __future__ import annotations

import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amfast._typing import Float, Int
from amfast.reproduce._registry import Unavailable

RATE = 16_000
SECONDS = 12
NOTES = 48
LOWEST, PITCHES = 48, 25  # MIDI 48..72
HARMONICS = 12
WINDOW, HOP = 2048, 512
INSTRUMENTS = ("clarinet", "string", "bell")
# Louder than this a harmonic's logarithm grows slowly: about -46 dB of full scale.
_GAIN = 200.0


def signal() -> Any:
    """Return `scipy.signal`, or say how to install it."""
    try:
        import scipy.signal
    except ImportError as error:
        raise Unavailable('spectra need SciPy: pip install "amfast-memory[recovery]"') from error
    return scipy.signal


@dataclass(frozen=True)
class Scene:
    """Sound, its spectrum, and what is true of every bin."""

    tracks: Float
    """(3, samples) what every instrument plays."""
    spectrum: NDArray[np.complex128]
    """(WINDOW / 2 + 1, frames) of the mix."""
    timbre: Float
    """(PITCHES * frames, HARMONICS) logarithmic strengths of harmonics, all bins by pitch."""
    posterior: Float
    """(PITCHES * frames,) how surely a note sounds in the bin."""
    player: Int
    """(PITCHES * frames,) which instrument plays in the bin, -1 for none."""


def frequency(pitch: int) -> float:
    """Return the frequency in Hz of a pitch, counted from `LOWEST`."""
    return 440.0 * math.exp2((LOWEST + pitch - 69) / 12)


def tone(instrument: int, hertz: float, seconds: float, rng: np.random.Generator) -> Float:
    """Play one note: odd harmonics (clarinet), 1 / h^1.1 (string), few and fading (bell)."""
    t = np.arange(int(seconds * RATE)) / RATE
    out = np.zeros_like(t)
    loudness = rng.uniform(0.5, 1.0)
    bell = {1: 1.0, 4: 0.7, 6: 0.5, 9: 0.35, 11: 0.25}
    for h in range(1, 16):
        if h * hertz > 0.98 * RATE / 2:
            break
        strength = (
            1 / h if h % 2 else 0.2 / h,
            1 / h**1.1,
            bell.get(h, 0.02),
        )[instrument]
        fading = np.exp(-t * (2 + 0.6 * h)) if instrument == 2 else 1.0
        strength *= math.exp(0.15 * rng.normal())
        out += strength * fading * np.sin(2 * np.pi * h * hertz * t + rng.uniform(0, 2 * np.pi))
    attack = np.clip(np.minimum(t / 0.01, (t[-1] - t) / 0.04), 0.0, 1.0)
    return np.asarray(0.2 * loudness * attack * out)


def compose(seed: int) -> Scene:
    """Play `NOTES` notes of random pitch, every third by each instrument, two or so at a time."""
    rng = np.random.default_rng(seed)
    tracks = np.zeros((len(INSTRUMENTS), SECONDS * RATE))
    frames = SECONDS * RATE // HOP + 1
    player = np.full((PITCHES, frames), -1)
    for i, start in enumerate(np.linspace(0.1, SECONDS - 0.8, NOTES)):
        instrument, pitch = i % len(INSTRUMENTS), int(rng.integers(PITCHES))
        seconds = rng.uniform(0.3, 0.6)
        note = tone(instrument, frequency(pitch), seconds, rng)
        at = int(start * RATE)
        tracks[instrument, at : at + len(note)] += note
        first, last = math.ceil(start * RATE / HOP), int((start + seconds) * RATE / HOP)
        player[pitch, first:last] = instrument
    _, _, spectrum = signal().stft(tracks.sum(axis=0), RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)
    player = player[:, : spectrum.shape[1]]
    spectrum = spectrum[:, : player.shape[1]]
    sounds = rng.uniform(0.6, 1.0, player.shape)
    silent = rng.uniform(0.0, 0.05, player.shape)
    return Scene(
        tracks,
        spectrum,
        _timbres(np.abs(spectrum)).reshape(-1, HARMONICS),
        np.where(player >= 0, sounds, silent).ravel(),
        player.ravel(),
    )


def _places(pitch: int) -> list[int]:
    """Rows of the spectrum nearest to the harmonics of a pitch."""
    return [round(h * frequency(pitch) * WINDOW / RATE) for h in range(1, HARMONICS + 1)]


def _timbres(strength: Float) -> Float:
    """Logarithmic strengths of the harmonics of every pitch in every frame, (pitch, frame, h)."""
    out = np.zeros((PITCHES, strength.shape[1], HARMONICS))
    for pitch in range(PITCHES):
        for h, place in enumerate(_places(pitch)):
            out[pitch, :, h] = strength[max(place - 1, 0) : place + 2].max(axis=0)
    return np.log1p(_GAIN * out)


def separate(scene: Scene, group: Int, groups: int) -> Float:
    """Split the mix by the group of every bin, (groups, samples); -1 belongs to none.

    Every bin claims the rows around its harmonics as strongly as these sound; where several groups
    claim a row in a frame they share it.
    """
    shape = scene.spectrum.shape
    roll = group.reshape(PITCHES, shape[1])
    strength = np.expm1(scene.timbre).reshape(PITCHES, shape[1], HARMONICS)
    claim = np.zeros((groups, *shape))
    for pitch in range(PITCHES):
        for h, place in enumerate(_places(pitch)):
            rows = slice(max(place - 3, 0), min(place + 4, shape[0]))
            for k in range(groups):
                claim[k, rows] += np.where(roll[pitch] == k, strength[pitch, :, h], 0.0)
    share = claim / np.maximum(claim.sum(axis=0), 1e-12)
    out = [
        signal().istft(scene.spectrum * part, RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)[1]
        for part in share
    ]
    return np.stack(out)[:, : scene.tracks.shape[1]]


def likeness(track: Float, truth: Float) -> float:
    """Scale-invariant signal to distortion ratio in dB."""
    n = min(len(track), len(truth))
    track, truth = track[:n], truth[:n]
    wanted = truth * float(track @ truth) / max(float(truth @ truth), 1e-12)
    rest = track - wanted
    return 10 * math.log10(max(float(wanted @ wanted), 1e-12) / max(float(rest @ rest), 1e-12))


def write_wav(path: Path, sound: Float) -> Path:
    """Write one channel of 16-bit sound, scaled to its loudest sample."""
    loudest = float(np.abs(sound).max(initial=1e-9))
    samples = np.round(sound / loudest * 30_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path
