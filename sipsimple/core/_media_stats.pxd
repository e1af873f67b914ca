from sipsimple.core._rtp cimport ss_audio_stat

cdef dict statistics_dict(const ss_audio_stat *stat)
