"""The rules of Longshore without any I/O: records, states, outcomes, codecs and the seam."""
