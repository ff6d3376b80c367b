//! Compiles a run's kernels again for what its neurons do, once the first epoch has shown it.
//!
//! ```text
//! epoch 1 ─▶ evaluation: rates of all layers ─▶ code for them ─▶ checkpoint with the rates ─▶ epoch 2 with the new code
//! resume ─▶ rates of the checkpoint ─▶ the same code
//! ```
//!
//! Forms of products add in different orders. Invariant: the checkpoint holds what the next step's code was compiled
//! for, so that a resumed run has the same bits.

use super::Run;
use crate::metrics::EpochRecord;
use crate::{Error, checkpoint};
use serde_json::{Value, json};
use snnc_plan::{Activities, Activity, Executable};
use std::path::Path;

/// The key of the activities in a checkpoint's metadata.
const KEY: &str = "activities";

/// Compiles the model for measured activities: the code for training and for inference, or none to keep what there is.
pub type Recompile<'a> = dyn FnMut(&Activities) -> Result<Option<(Executable, Executable)>, Error> + 'a;

/// What the neurons of a checkpoint's model were measured to do; `None` where it does not tell.
///
/// # Errors
/// [`Error::Io`]; [`Error::Data`] for another format, or a share that is not from 0 to 1.
pub fn measured(checkpoint: &Path) -> Result<Option<Activities>, Error> {
    noted(&checkpoint::read_metadata(checkpoint)?, checkpoint)
}

/// The activities of the metadata of this checkpoint.
pub(super) fn noted(metadata: &Value, checkpoint: &Path) -> Result<Option<Activities>, Error> {
    let bad = |layer: &String| {
        let shown = checkpoint.display();
        Error::Data(format!("{shown}: the firing rate of `{layer}` is not a number from 0 to 1"))
    };
    let Some(all) = metadata[KEY].as_object() else { return Ok(None) };
    let mut activities = Activities::default();
    for (layer, value) in all {
        let share =
            |share: &Value| share.as_f64().filter(|x| (0.0..=1.0).contains(x)).ok_or_else(|| bad(layer));
        let fires = value.get("fires").map(share).transpose()?;
        let activity = Activity { rate: share(&value["rate"])? as f32, fires: fires.map(|x| x as f32) };
        activities.layers.insert(layer.clone(), activity);
    }
    Ok(Some(activities))
}

/// Writes activities into a checkpoint's metadata.
pub(super) fn note(activities: Option<&Activities>, metadata: &mut Value) {
    let Some(activities) = activities else { return };
    let one = |(layer, activity): (&String, &Activity)| {
        let mut value = json!({ "rate": activity.rate });
        activity.fires.iter().for_each(|fires| value["fires"] = json!(fires));
        (layer.clone(), value)
    };
    metadata[KEY] = Value::Object(activities.layers.iter().map(one).collect());
}

impl Run<'_> {
    /// After the first epoch: the code for what it has measured.
    pub(super) fn recompiled(
        &mut self,
        recompile: &mut Recompile<'_>,
        record: &EpochRecord,
    ) -> Result<Option<(Executable, Executable)>, Error> {
        if self.state.epoch > 0 {
            return Ok(None);
        }
        let measured = record.activities.clone();
        let code = recompile(&measured)?;
        self.activities = code.is_some().then_some(measured);
        Ok(code)
    }

    /// Goes on with other code of the same model. At no time is there more memory than before or after.
    pub(super) fn exchange(&mut self, (train, infer): (Executable, Executable)) -> Result<(), Error> {
        self.infer.exchange(infer)?;
        let names: Vec<String> = self.train.plan().params.iter().map(|spec| spec.name.clone()).collect();
        let values = |name: &String| self.train.param(name).map(<[f32]>::to_vec);
        let kept = names.iter().map(values).collect::<Result<Vec<_>, _>>()?;
        self.train.exchange(train)?;
        names.iter().zip(&kept).try_for_each(|(name, values)| self.train.set_param(name, values))?;
        drop(kept);
        if let Some(folder) = &mut self.folder {
            let text = "kernels are compiled again for the measured firing rates";
            folder.log("kernels", json!({ "epoch": self.state.epoch, "text": text }))?;
        }
        self.hand_over()
    }
}
