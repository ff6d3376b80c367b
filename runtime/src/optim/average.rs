//! An exponential moving average of parameters: `a += (1 − decay)·(w − a)`, beginning with the first w.

use super::CHUNK;
use crate::Error;
use rayon::prelude::*;

/// The averages, one per parameter.
#[derive(Clone, Debug)]
pub struct Average {
    share: f32,
    values: Vec<Option<Vec<f32>>>,
}

impl Average {
    /// For `params` parameters; `decay` is the weight of the last average.
    pub fn new(decay: f64, params: usize) -> Average {
        Average { share: (1.0 - decay) as f32, values: vec![None; params] }
    }

    /// Takes in a parameter after a step.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter or it has changed its size.
    pub fn update(&mut self, index: usize, values: &[f32]) -> Result<(), Error> {
        let share = self.share;
        let slot = self.slot(index)?;
        let averages = slot.get_or_insert_with(|| values.to_vec());
        if averages.len() != values.len() {
            return Err(Error::Internal(format!("parameter {index} has changed its size")));
        }
        averages.par_chunks_mut(CHUNK).zip(values.par_chunks(CHUNK)).for_each(|(averages, values)| {
            averages.iter_mut().zip(values).for_each(|(a, w)| *a += share * (w - *a));
        });
        Ok(())
    }

    fn slot(&mut self, index: usize) -> Result<&mut Option<Vec<f32>>, Error> {
        let none = || Error::Internal(format!("the average has no parameter {index}"));
        self.values.get_mut(index).ok_or_else(none)
    }

    /// The average of a parameter; `None` before its first step.
    pub fn get(&self, index: usize) -> Option<&[f32]> {
        self.values.get(index)?.as_deref()
    }

    /// Sets the average of a parameter, to resume a run.
    ///
    /// # Errors
    /// [`Error::Internal`] where there is no such parameter.
    pub fn set(&mut self, index: usize, values: Vec<f32>) -> Result<(), Error> {
        *self.slot(index)? = Some(values);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_whole_and_later_ones_by_their_share() -> Result<(), Error> {
        let mut average = Average::new(0.75, 1);
        assert_eq!(average.get(0), None);
        average.update(0, &[4.0, 0.0])?;
        average.update(0, &[8.0, 2.0])?;
        assert_eq!(average.get(0), Some(&[5.0, 0.5][..]));
        assert!(average.update(0, &[1.0]).is_err() && average.update(1, &[1.0]).is_err());
        Ok(())
    }
}
