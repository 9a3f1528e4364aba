"""Recordings -> a Wav2Vec 2.0 CTC checkpoint. Needs torch; never imported on a device."""
