# cython: language_level=3
"""Statistics of RTP streams as dicts."""

from sipsimple.core._rtp cimport ss_audio_direction_stat, ss_audio_figures, ss_audio_stat


cdef dict _figures(const ss_audio_figures *figures):
    return {'count': figures.count, 'max': figures.max, 'min': figures.min, 'last': figures.last, 'avg': figures.mean}


cdef dict _direction(const ss_audio_direction_stat *stat):
    return {
        'packets': stat.packets,
        'bytes': stat.bytes,
        'packets_discarded': stat.discarded,
        'packets_lost': stat.lost,
        'packets_reordered': stat.reordered,
        'packets_duplicate': stat.duplicate,
        'loss_period': _figures(&stat.loss_period),
        'burst_loss': bool(stat.burst_loss),
        'random_loss': bool(stat.random_loss),
        'jitter': _figures(&stat.jitter),
    }


cdef dict statistics_dict(const ss_audio_stat *stat):
    return {'rtt': _figures(&stat.rtt), 'rx': _direction(&stat.rx), 'tx': _direction(&stat.tx)}


DIRECTION_FIELDS = ('packets', 'bytes', 'packets_discarded', 'packets_lost', 'packets_reordered', 'packets_duplicate',
                    'loss_period', 'burst_loss', 'random_loss', 'jitter')
FIGURE_FIELDS = ('count', 'max', 'min', 'last', 'avg')
