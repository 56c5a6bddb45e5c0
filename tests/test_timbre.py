"""The timbre experiment: music, its bins, their separation, and what is written."""

from __future__ import annotations

import csv
import wave

import numpy as np
import pytest

from amfast import reproduce
from amfast.reproduce import _notes, timbre


@pytest.fixture
def short(monkeypatch):
    """Scenes of three seconds."""
    monkeypatch.setattr(_notes, "SECONDS", 3)
    monkeypatch.setattr(_notes, "NOTES", 9)


def test_a_scene_is_what_it_says(short):
    scene = _notes.compose(1)
    frames = scene.spectrum.shape[1]
    assert scene.timbre.shape == (_notes.PITCHES * frames, _notes.HARMONICS)
    assert scene.posterior.shape == scene.player.shape == (_notes.PITCHES * frames,)
    sounding = scene.player >= 0
    assert set(scene.player) == {-1, 0, 1, 2}
    assert scene.posterior[sounding].min() >= 0.6 and scene.posterior[~sounding].max() <= 0.05
    # Bins where a note sounds are louder than most others.
    loud = scene.timbre.sum(axis=1)
    assert np.median(loud[sounding]) > 3 * np.median(loud[~sounding])
    again = _notes.compose(1)
    np.testing.assert_array_equal(again.timbre, scene.timbre)
    assert not np.array_equal(_notes.compose(2).timbre.sum(), scene.timbre.sum())


def test_instruments_have_their_timbres():
    rng = np.random.default_rng(0)
    power = []
    for instrument in range(3):
        sound = _notes.tone(instrument, 250.0, 0.4, rng)
        spectrum = np.abs(np.fft.rfft(sound))
        power.append([spectrum[round(h * 250 * 0.4)] for h in range(1, 5)])
    clarinet, string, bell = np.array(power)
    assert clarinet[2] > 2 * clarinet[1]  # odd harmonics
    assert string[0] > string[1] > string[2]
    assert bell[3] > 3 * bell[2]  # the fourth, not the third


def test_the_truth_separates_the_mix(short):
    scene = _notes.compose(1)
    tracks = _notes.separate(scene, scene.player, 3)
    mix = scene.tracks.sum(axis=0)
    for k in range(3):
        before = _notes.likeness(mix, scene.tracks[k])
        assert _notes.likeness(tracks[k], scene.tracks[k]) > before + 6
    assert _notes.likeness(3 * mix, mix) > 100
    nobody = _notes.separate(scene, np.full_like(scene.player, -1), 3)
    assert np.abs(nobody).max() == 0


def test_wav_files(tmp_path):
    sound = 0.2 * np.sin(np.arange(800) / 5)
    with wave.open(str(_notes.write_wav(tmp_path / "a.wav", sound)), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 16_000)
        samples = np.frombuffer(file.readframes(800), "<i2")
    np.testing.assert_allclose(samples / 30_000, sound / np.abs(sound).max(), atol=1e-4)
    _notes.write_wav(tmp_path / "silence.wav", np.zeros(10))


def test_clusters_are_numbered_as_instruments():
    truth = np.array([0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(timbre._in_order(np.array([2, 2, 0, 0, 1, 1]), truth), truth)
    unclear = np.array([0, 1, 2, 2, 2, 2])
    np.testing.assert_array_equal(timbre._in_order(unclear, truth), unclear)


def test_writes_tables_pictures_and_sound(short, tmp_path, capsys):
    reproduce.run("timbre", "quick", out=tmp_path)
    printed = capsys.readouterr().out
    assert "centred layer, 1 step" in printed and "known failure" in printed
    for name in ("mix.wav", "cluster1.wav", "cluster2.wav", "cluster3.wav", "clusters.png"):
        assert (tmp_path / f"timbre_{name}").stat().st_size > 10_000
    with (tmp_path / "timbre_checks.csv").open(encoding="utf-8", newline="") as file:
        checks = {row["check"]: row["result"] for row in csv.DictReader(file)}
    # What does not depend on the length of the music.
    assert checks["17 chunks against one call: largest difference"] == "PASS"
    assert checks["layer as written: effective rank of its answers (known failure)"] == "PASS"
